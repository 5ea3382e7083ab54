-- a closed loop: as fast as the gateway answers, or, with DELAY, with a pause
-- of 0 to 2 * DELAY ms between the requests of a connection, which is outside
-- the latency; POST names a file with a JSON document to send

local post = os.getenv("POST") or ""

if post ~= "" then
    local file = assert(io.open(post, "rb"))

    wrk.method = "POST"
    wrk.body = file:read("*a")
    wrk.headers["Content-Type"] = "application/json"
    file:close()
end


local pause = tonumber(os.getenv("DELAY") or "0")


if pause > 0 then
    math.randomseed(os.time())

    function delay()
        return math.random(0, math.floor(2 * pause + 0.5))
    end
end


function done(summary, latency)
    local e = summary.errors

    io.write(string.format("@ %d %d %d %d %d %d\n",
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency.max,
        e.status + e.connect + e.read + e.write + e.timeout))
end
