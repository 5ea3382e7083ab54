-- Puts bodies together as strings, and decodes only what must be cut.  Trusts
-- the backends to send whole JSON.  The cache is one worker's own.

local cjson = require "cjson.safe"
local lru = require("resty.lrucache").new(1000)

local capture = ngx.location.capture
local capture_multi = ngx.location.capture_multi
local M = {}


local function send(...)
    local n = 0

    for i = 1, select("#", ...) do
        n = n + #(select(i, ...))
    end

    ngx.header.content_length = n
    ngx.print(...)
end


local function body(res)
    return res.status == 200 and res.body or "null"
end


function M.user()
    local u, o, r = capture_multi{{"/_users/42"}, {"/_orders/42"},
                                  {"/_recommendations/42"}}
    local it = cjson.decode(o.body).items

    send('{"user":', body(u), ',"recent_orders":',
         cjson.encode{it[1], it[2], it[3], it[4], it[5]},
         ',"recommendations":',
         cjson.encode(cjson.decode(r.body).products), '}')
end


function M.passthru(a, b, c)
    local u, o, r = capture_multi{{a}, {b}, {c}}

    send('{"user":', body(u), ',"orders":', body(o),
         ',"recommendations":', body(r), '}')
end


local ten = {}

for i = 0, 9 do
    ten[i + 1] = {"/_part/" .. i}
end


function M.agg10()
    local r, out = {capture_multi(ten)}, {}

    for i = 1, 10 do
        out[i] = '"p' .. (i - 1) .. '":' .. body(r[i])
    end

    send('{' .. table.concat(out, ",") .. '}')
end


function M.mem()
    local a, b = capture_multi{{"/_big"}, {"/_big"}}

    send('{"a":', body(a), ',"b":', body(b), '}')
end


function M.l1()
    local v = lru:get("k")

    if not v then
        v = capture("/_cache").body
        lru:set("k", v, 3600)
    end

    send(v)
end


return M
