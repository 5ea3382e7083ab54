-- 1000 keys in turn, so that a small first tier never holds the next one

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

dofile(here .. "load.lua")

local n = 0
local requests = {}


function init(args)
    for i = 0, 999 do
        requests[i] = wrk.format("GET", "/l2/k" .. i)
    end
end


function request()
    n = (n + 1) % 1000

    return requests[n]
end
