-- decodes and encodes everything it answers: a broken part is noticed

local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local capture = ngx.location.capture
local capture_multi = ngx.location.capture_multi
local decode, encode, null = cjson.decode, cjson.encode, cjson.null
local M = {}


local function send(s)
    ngx.header.content_length = #s
    ngx.print(s)
end


local function part(res)
    return res.status == 200 and decode(res.body) or null
end


function M.user(u, o, r)
    local ru, ro, rr = capture_multi{{u}, {o}, {r}}
    local orders, recs = part(ro), part(rr)
    local recent = null

    if orders ~= null then
        local it = orders.items
        recent = {it[1], it[2], it[3], it[4], it[5]}
    end

    send(encode{user = part(ru), recent_orders = recent,
                recommendations = recs ~= null and recs.products or null})
end


function M.passthru()
    local u, o, r = capture_multi{{"/_users/42"}, {"/_orders/42"},
                                  {"/_recommendations/42"}}

    send(encode{user = part(u), orders = part(o), recommendations = part(r)})
end


local ten = {}

for i = 0, 9 do
    ten[i + 1] = {"/_part/" .. i}
end


function M.agg10()
    local r, out = {capture_multi(ten)}, {}

    for i = 1, 10 do
        out["p" .. (i - 1)] = part(r[i])
    end

    send(encode(out))
end


function M.shape()
    local a = decode(capture("/_shape").body)
    local out = {}

    for i = 1, #a do
        local e = a[i]
        out[i] = {id = e.id, name = e.name, price = e.price}
    end

    send(encode(out))
end


function M.fanout()
    local cart = decode(capture("/_cart/42").body)
    local wanted = {}

    for i, item in ipairs(cart.items) do
        wanted[i] = {"/_product/" .. item.sku}
    end

    local r = {capture_multi(wanted)}

    for i, item in ipairs(cart.items) do
        item.product = part(r[i])
    end

    send(encode{cart = cart})
end


function M.graph()
    local user = decode(capture("/_users/42").body)
    local recs = decode(capture("/_recommendations/" .. user.tier).body)

    send(encode{user = user, offers = recs.products})
end


function M.mem()
    local a, b = capture_multi{{"/_big"}, {"/_big"}}

    send(encode{a = part(a), b = part(b)})
end


local l1 = ngx.shared.l1


function M.l1()
    local v = l1:get("k")

    if not v then
        v = capture("/_cache").body
        l1:set("k", v, 3600)
    end

    send(v)
end


function M.l2()
    local red = redis:new()

    red:set_timeouts(250, 250, 250)

    if not red:connect("127.0.0.1", 22200) then
        return ngx.exit(502)
    end

    local v = red:get("bench:" .. ngx.var.uri:sub(5))

    red:set_keepalive(60000, 256)

    if not v or v == ngx.null then
        return ngx.exit(404)
    end

    send(v)
end


local cb = ngx.shared.breaker
local fallback = '{"status":"degraded","source":"fallback","items":[]}'


function M.breaker()
    local till = cb:get("open")

    if till and till > ngx.now() then
        return send(fallback)
    end

    local res = capture("/_dead/42")

    if res.status < 500 then
        cb:set("fails", 0)
        return send(res.body)
    end

    if cb:incr("fails", 1, 0) >= 5 then
        cb:set("open", ngx.now() + 30)
    end

    send(fallback)
end


return M
