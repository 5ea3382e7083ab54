-- as many URIs as KEYS says, in turn

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

dofile(here .. "load.lua")

local keys = tonumber(os.getenv("KEYS"))
local n = 0


function request()
    n = (n + 1) % keys

    return wrk.format("GET", "/keys/" .. n)
end
