vcl 4.1;

# L1: hot in memory.  Aggregates: a cached ESI page whose parts are fetched
# each time, one after another.

backend users  { .host = "127.0.0.1"; .port = "22101"; }
backend orders { .host = "127.0.0.1"; .port = "22102"; }
backend recs   { .host = "127.0.0.1"; .port = "22103"; }
backend parts  { .host = "127.0.0.1"; .port = "22104"; }
backend su     { .host = "127.0.0.1"; .port = "22111"; }
backend so     { .host = "127.0.0.1"; .port = "22112"; }
backend sr     { .host = "127.0.0.1"; .port = "22113"; }


sub vcl_recv {
    set req.backend_hint = parts;

    if (req.url == "/l1") {
        set req.url = "/cache.json";
        return (hash);
    }

    if (req.url == "/passthru/user/42") {
        set req.url = "/esi-agg3p.json";
        return (hash);
    }

    if (req.url == "/slowp/user/42") {
        set req.url = "/esi-slowp.json";
        return (hash);
    }

    if (req.url == "/agg10") {
        set req.url = "/esi-agg10.json";
        return (hash);
    }

    if (req.url ~ "^/_part/") {
        set req.url = regsub(req.url, "^/_part/(.*)$", "/part\1.json");
        return (pass);
    }

    if (req.url ~ "^/(_|proxy/)users/") {
        set req.backend_hint = users;

    } else if (req.url ~ "^/(_|proxy/)orders/") {
        set req.backend_hint = orders;

    } else if (req.url ~ "^/(_|proxy/)recommendations/") {
        set req.backend_hint = recs;

    } else if (req.url ~ "^/_slowusers/") {
        set req.backend_hint = su;

    } else if (req.url ~ "^/_sloworders/") {
        set req.backend_hint = so;

    } else if (req.url ~ "^/_slowrecommendations/") {
        set req.backend_hint = sr;
    }

    set req.url = regsub(req.url, "^/(_slow|_|proxy/)", "/");
    return (pass);
}


sub vcl_backend_response {
    if (bereq.url ~ "^/esi-") {
        set beresp.do_esi = true;
        set beresp.ttl = 1h;
    }

    if (bereq.url == "/cache.json") {
        set beresp.ttl = 1h;
    }
}
