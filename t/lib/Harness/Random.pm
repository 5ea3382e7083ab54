package Harness::Random;

# Random configurations and requests, for t/fuzz/random_conf.t: a grammar of our
# directives and of nginx's, in every context that they may stand in.
#
#     srand $seed;
#     my $conf = Harness::Random::conf(%options);   text with placeholders
#     my @requests = Harness::RandomRequests::requests(60);
#
# Each statement of the configuration has a line of its own, and a block its
# last line, so that what "nginx -t" refuses can be taken out: without_line.

use strict;
use warnings;

my $locations = 10;


sub pick { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }


# backends

my @paths = qw(ok ok ok ok list list deep plain slow late cut reset close hang
               gzip gzlie gzcut gzmore chunked none empty notmod r301 e404 e429
               e500 e503 big bad fresh fresh fresh stale swr private cookie
               vary star tags accel accelbad range hints long ssi ssi tricks
               drip v10 items sse);

sub paths { return @paths }


# the scripted backend's table
sub backend {
    my @json = (body => '{"id":1,"list":[1,2,{"id":3}],"a":{"b":"c"}}');
    my $gzip = "\x1f\x8b\x08\0\0\0\0\0\0\3\xab\xae\5\0\x43\xbf\xa6\xa3"
        . "\2\0\0\0";

    return (
        '/ok/'       => { @json },
        '/list/'     => { body => '[{"id":1},{"id":2},{"id":1},5,null]' },
        '/deep/'     => { body => ('[' x 120) . (']' x 120) },
        '/plain/'    => { type => 'text/plain', body => 'plain text' },
        '/slow/'     => { @json, delay => 0.3 },
        '/late/'     => { @json, body_delay => 0.3 },
        '/cut/'      => { @json, cut => 10 },
        '/reset/'    => { action => 'reset' },
        '/close/'    => { action => 'close' },
        '/hang/'     => { action => 'hang' },
        '/gzip/'     => { @json, gzip => 1 },
        '/gzlie/'    => { @json, headers => [ 'Content-Encoding', 'gzip' ] },
        '/gzcut/'    => { body => substr($gzip, 0, 14),
                          headers => [ 'Content-Encoding', 'gzip' ] },
        '/gzmore/'   => { body => $gzip . 'more than that',
                          headers => [ 'Content-Encoding', 'gzip' ] },
        '/chunked/'  => { @json, chunked => 1 },
        '/none/'     => { status => 204 },
        '/empty/'    => { body => '' },
        '/notmod/'   => { status => 304, headers => [ ETag => '"a"' ] },
        '/r301/'     => { status => 301, headers => [ Location => '/l1' ] },
        '/e404/'     => { status => 404, body => '{"error":1}' },
        '/e429/'     => { status => 429, headers => [ 'Retry-After', 1 ] },
        '/e500/'     => { status => 500, body => 'oops', type => 'text/html' },
        '/e503/'     => { status => 503, headers => [ 'Retry-After', 2 ] },
        '/big/'      => { body => '["' . ('x' x 1000) . '",',
                          chunked => [ '[0', (',"' . ('y' x 999) . '"') x 700,
                                       ']' ] },
        '/bad/'      => { body => '{"id":1,}' },
        '/fresh/'    => { @json, headers => [ 'Cache-Control', 'max-age=2',
                                              ETag => '"e"' ] },
        '/stale/'    => { @json, headers => [ 'Cache-Control',
                              'max-age=0, stale-if-error=9' ] },
        '/swr/'      => { @json, headers => [ 'Cache-Control',
                              'max-age=1, stale-while-revalidate=9' ] },
        '/private/'  => { @json, headers => [ 'Cache-Control',
                                              'max-age=9; private' ] },
        '/cookie/'   => { @json, headers => [ 'Set-Cookie', 'a=b',
                                              'Cache-Control', 'max-age=9' ] },
        '/vary/'     => { @json, headers => [ Vary => 'X-A, Accept',
                                              'Cache-Control', 'max-age=9' ] },
        '/star/'     => { @json, headers => [ Vary => '*' ] },
        '/tags/'     => { @json, headers => [ 'Surrogate-Key', 'a b c',
                                              'Cache-Control', 'max-age=9' ] },
        '/accel/'    => { headers => [ 'X-Accel-Redirect', '/l2' ] },
        '/accelbad/' => { headers => [ 'X-Accel-Redirect', '/../x' ] },
        '/range/'    => { status => 206, body => 'abc',
                          headers => [ 'Content-Range', 'bytes 0-2/9' ] },
        '/hints/'    => { raw => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"
                          . "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                          . "Content-Type: application/json\r\n\r\n{}" },
        '/ssi/'      => { type => 'text/html', body =>
                          '<!--# include virtual="/l3?x=1" -->'
                          . '<!--# include virtual="/p/slow/x" set="v" -->'
                          . '<!--# echo var="v" --><!--# block name="b" -->c'
                          . '<!--# endblock --><!--# include wait="yes" '
                          . 'virtual="/p/none/x" stub="b" -->'
                          . '<!--# include virtual="/g0/v1/items/1" -->' },
        '/tricks/'   => { @json, headers => [ 'X-Accel-Expires', 1,
                              'X-Accel-Buffering', 'no', 'X-Accel-Charset',
                              'koi8-r', 'X-Accel-Limit-Rate', 9000,
                              'Cache-Control', 'max-age=1', 'Cache-Control',
                              'stale-if-error=3' ] },
        '/drip/'     => { @json, drip => 0.004, chunked => 1 },
        '/v10/'      => { @json, version => '1.0', length => undef },
        '/items/'    => { body => '{"items":[{"id":1,"t":"Item"},{"id":2,'
                          . '"t":"Thing"},{"t":5}],"errors":[{"message":"m"'
                          . '}],"id":"3","t":"Thing","a":[]}' },
        '/sse/'      => { type => 'text/event-stream', body => "data: a\n\n",
                          repeat => 50, body_delay => 0.05 },
        '/long/'     => { @json, headers => [ 'X-Long' => 'y' x 9000 ] },
        '*'          => { status => 404 },
    );
}


# configurations

sub variable {
    return pick(qw($arg_a $http_x_a $uri $args $request_uri $cookie_a $host
                   $set $map $remote_addr $request_method $empty
                   $breaker_state $breaker_result $aggregate_status
                   $aggregate_cache_status $request_id $request_body
                   $upstream_status $content_length $sent_http_etag));
}


sub text { return pick('a', 'b', variable(), variable() . variable()) }

sub target { return pick(map { "l$_" } 0 .. $locations - 1) }

sub backend_url {
    return 'http://127.0.0.1:%%PORT_b%%/' . pick(@paths) . '/'
        . pick('', 'x', 'y?z=1') if chance(0.85);
    return pick('http://127.0.0.1:%%PORT_dead%%', 'http://up',
                'http://127.0.0.1:%%PORT_b%%');
}


# parts are asked at locations that proxy, at themselves, or anywhere
sub part_uri {
    my $uri = '/' . (chance(0.7) ? 'p/' . pick(@paths) : target());

    return '/g' . int(rand 3) . '/v1' . pick('/items/$arg_id', '/items?n=3',
        '/watch?n=3', '/items/none', '/echo/a?wait_ms=100', '/sum')
        if chance(0.08);

    $uri .= '/' . pick('x', '$arg_a', '${empty}', '$arg_id');
    $uri .= '?' . pick('a=$arg_a', '$args', 'b=1&c=$http_x_a', 'd=${p0.id}')
        if chance(0.4);
    return $uri;
}


sub part {
    my ($n) = @_;
    my @out = "backend p$n '" . part_uri() . "' {";
    my @with = (
        'required;', q(default '{"d":1}';), 'hidden;', 'as list;',
        'merge;', "as k$n;",
        'timeout ' . pick(qw(50ms 200ms 1s)) . ';', 'retry 2;',
        'accept ' . pick('2xx', '404', '2xx 5xx', '206 304') . ';',
        'encoding string;', 'method ' . pick(qw(POST HEAD PUT DELETE)) . ';',
        'body request;', q(body '{"a":$arg_a,"b":${p0.a.b}}';),
        'header X-P ' . text() . ';', "header X-Q '\${p0.id}';",
        'forward none;', 'forward X-A Cookie;',
        'pass_header ETag X-A Location;', 'if ' . variable() . ';',
        'each p0.list;', 'each p1;', 'into it;', 'target list;', 'limit 2;',
        'allow id a.b;', 'deny a.b;', 'rename a z;', 'move a.b q.r;',
        'set s.t 5;', 'encoded_slash on;', 'fail_on error errors;',
        'hedge 20ms max=50%;', 'hedge 1ms;', 'retry 1;', 'body request;',
        'limit list $arg_a 3;', 'set s $arg_a;', 'accept 1xx 3xx 4xx;',
    );

    push @out, pick(@with) while chance(0.6);
    return @out, '}';
}


sub aggregate {
    my @out = 'aggregate {';
    my @with = (
        'timeout ' . pick(qw(100ms 400ms 2s)) . ';',
        'concurrency ' . pick(1, 2, 8) . ';', 'forward Cookie X-A;',
        'max_subrequests ' . pick(1, 3, 20) . ';',
        'max_body_size ' . pick(10, '1k', '1m') . ';',
        'max_response_size ' . pick(20, '2k', '1m') . ';',
        'on_conflict ' . pick(qw(first last error)) . ';', 'errors errs;',
        'forward none;', 'methods GET HEAD POST PUT;', 'methods POST;',
    );

    push @out, pick(@with) while chance(0.5);
    push @out, part($_) for 0 .. int rand 4;
    return @out, '}';
}


sub handler {
    my $x = rand;

    return proxy() if $x < 0.4;
    return aggregate() if $x < 0.65;
    return graphql() if $x < 0.75;
    return pick(
        'return ' . pick(200, 204, 404, '301 /l0', '200 text') . ';',
        'aggregate_cache_purge z;', 'aggregate_cache_purge z redis=r;',
        'aggregate_cache_status;', 'breaker_status;', 'empty_gif;',
        'stub_status;', 'alias %%TESTDIR%%/www/;',
        'root %%TESTDIR%%/www;', 'try_files /a.json /' . target() . ';',
        'try_files $uri @named;', 'deny all;', 'internal;',
        'aggregate_metrics_status include=/' . target() . ';',
        'aggregate_metrics_status;', 'aggregate_balance_status;',
        'aggregate_status;', 'aggregate_split_status;',
        'aggregate_status include=/' . target() . ' include=/g0/v1/items/1;',
        'aggregate_metrics_status mz include=/p/' . pick(@paths) . '/m;',
        'fastcgi_pass 127.0.0.1:%%PORT_b%%;', 'uwsgi_pass up;',
        'scgi_pass 127.0.0.1:%%PORT_b%%;', 'memcached_pass up;',
        "dav_methods PUT DELETE MKCOL;\nroot %%TESTDIR%%/dav;", 'mp4;', 'flv;',
        'random_index on;', 'grpc_pass grpc;', 'gzip_static always;',
    );
}


# calls of t/data/grpc/items.proto
sub grpc {
    my ($prefix) = @_;
    my @out = "location $prefix/ {";

    push @out, general() while chance(0.4);
    push @out, if_block('location') if chance(0.2);
    push @out, limit_except() if chance(0.1);
    push @out, location("$prefix/v1/" . pick(qw(items/ watch echo)), 1)
        if chance(0.1);
    push @out, pick(
        "aggregate_grpc t.v1.Items strip=$prefix;",
        "aggregate_grpc t.v1.Items strip=$prefix;",
        "aggregate_grpc t.v1.Items auto strip=$prefix;",
        'aggregate_grpc t.v1.Items/Watch get;',
        'aggregate_grpc t.v1.Items/Get;', 'aggregate_grpc off;',
    );
    push @out, grpc_setting() while chance(0.6);
    push @out, pick(
        'grpc_intercept_errors on;', 'grpc_buffer_size 1k;',
        'grpc_next_upstream error timeout http_503 non_idempotent;',
        'grpc_socket_keepalive on;', 'grpc_set_header X-Q ' . text() . ';',
        'grpc_set_header TE trailers;', 'grpc_hide_header ETag;',
    ) while chance(0.3);
    push @out, 'grpc_pass grpc://' . pick(
        'grpc', 'grpc', 'grpc', '127.0.0.1:%%PORT_dead%%',
        '127.0.0.1:%%PORT_b%%',
    ) . ';';

    return @out, '}';
}


sub grpc_setting {
    return pick(
        'aggregate_grpc_print ' . pick('off', 'enums_as_ints',
            'always_print_primitive_fields preserve_proto_field_names') . ';',
        'aggregate_grpc_ignore_unknown ' . pick('on', 'off', 'a rid') . ';',
        'aggregate_grpc_stream ' . pick('auto', 'array', 'ndjson', 'sse',
            'sse ping=50ms', 'ping=0', 'ndjson ping=20ms') . ';',
        'aggregate_grpc_errors ' . pick('problem', 'status') . ';',
        'aggregate_grpc_timeout ' . pick(qw(0 30ms 300ms)) . ';',
        'aggregate_grpc_max_message ' . pick(qw(10 100 4m)) . ';',
        'aggregate_grpc_max_response ' . pick(qw(10 1k 8m)) . ';',
        'aggregate_grpc_websocket ' . pick('off', 'on', 'on ping=50ms',
            'on max_frame=1k origin=localhost', 'on ping=20ms') . ';',
    );
}


sub graphql {
    my @out = 'aggregate_graphql %%TESTDIR%%/schema.graphql {';
    my @with = (
        'timeout ' . pick(qw(100ms 400ms 2s)) . ';',
        'concurrency ' . pick(1, 8) . ';',
        'max_subrequests ' . pick(1, 3, 20) . ';', 'max_body_size 1k;',
        'max_response_size 2k;', 'introspection ' . variable() . ';',
        'status draft;', 'mask_errors on;', 'persisted apq;', 'batching 3;',
        'ide on;', 'plan_cache 64k;', 'max_depth 3;', 'max_tokens 50;',
        'methods GET POST HEAD;', 'forward none;', 'max_aliases 1;',
        'ide ' . variable() . ';', 'mask_errors ' . variable() . ';',
        'forward X-A Cookie;', 'status compatible;', 'plan_cache 0;',
        'methods PUT POST;',
        'max_root_fields 2;', 'max_selections 3;',
        'documents %%TESTDIR%%/documents.json' . pick('', ' only') . ';',
    );

    push @out, pick(@with) while chance(0.5);
    return @out, '}';
}


# its schema
sub schema {
    return <<'EOS';
scalar Any
type In { b: String }
type Item { id: ID! name: String @json(path: "a.b") a: In
  again: Item @rest(get: "/p/list/x?ids=${keys}", batch: {key: "id", by: "id"})
  list: [Item] @rest(get: "/p/list/${parent.id}") }
type Thing { a: Any t: String }
union Some @discriminate(by: "t", map: [{value: "Item", type: "Item"},
  {value: "Thing", type: "Thing"}]) = Item | Thing
type Number { n: Int }
type Call { id: ID price_cents: String }
type Query {
  any: [Some] @rest(get: "/p/items/x", select: "items", limit: "2")
  guarded: Any @allow(if: "$http_x_a") @rest(get: "/p/ok/x",
    headers: [{name: "X-A", value: "$arg_a"}, {name: "Accept", value: ""}])
  some(first: Int = 1): [Item] @rest(get: "/p/items/x?n=${args.first}",
    select: "items", limit: "$arg_a 2", passHeaders: ["ETag", "X-A"])
  call(id: ID): Call @rest(get: "/g0/v1/items/${args.id}",
    nullOn: ["404", "501"], error: {message: "title", code: "status"})
  watch: [Number] @rest(get: "/g1/v1/watch?n=3", timeout: "300ms", retry: "2")
  gzip: Item @rest(get: "/p/gzcut/x", error: {message: "errors"})
  late: Any @rest(get: "/p/late/x") text: String @rest(get: "/p/plain/x",
    encoding: "string")
  self(q: String): Any @rest(post: "/l2/${args.q}", accept: "2xx 4xx",
    body: "{\"query\":${args.q}}")
  ok(id: ID = 1): Item @rest(get: "/p/ok/${args.id}")
  list: [Item!]! @rest(get: "/p/list/x")
  bad: Item @rest(get: "/p/bad/x", default: "null")
  slow: Item @rest(get: "/p/slow/x", timeout: "100ms")
  e503(q: String): Item! @rest(get: "/p/e503/x?q=${args.q}", retry: 1)
  cut: [Any] @rest(get: "/p/cut/x") hang: Any @rest(get: "/p/hang/x")
  loc(n: String): Any @rest(get: "/l1/${args.n}")
}
type Mutation { put(a: Any): Item @rest(post: "/p/ok/x", body: "${args.a}") }
EOS
}


# where "proxy_pass" takes no URI, a rewrite gives it
our $bare = 0;

sub proxy {
    my $url = backend_url();
    my @out = 'proxy_pass ' . $url . ';';

    @out = "proxy_pass $url\$is_args\$args;" if chance(0.1) && $url !~ /\?/;

    @out = ('rewrite ^ /' . pick(@paths) . '/x break;',
            'proxy_pass ' . pick('http://up', 'http://127.0.0.1:%%PORT_b%%')
            . ';') if $bare;

    push @out, pick(
        'proxy_intercept_errors on;', 'proxy_ignore_client_abort on;',
        'proxy_buffering off;', 'proxy_request_buffering off;',
        'proxy_max_temp_file_size 0;', 'proxy_http_version 1.1;',
        'proxy_next_upstream error timeout http_503 non_idempotent;',
        'proxy_cache pc;', 'proxy_cache_valid 200 1s;',
        'proxy_cache_use_stale updating error timeout;',
        'proxy_cache_background_update on;', 'proxy_cache_lock on;',
        'proxy_buffer_size 1k;', 'proxy_buffers 4 4k;',
        'proxy_limit_rate 50k;',
        'proxy_set_header X-Q ' . text() . ';', 'proxy_pass_header Date;',
        'proxy_hide_header ETag;', 'proxy_method POST;',
        'proxy_pass_request_body off;', 'proxy_pass_request_headers off;',
        'proxy_store on;', 'proxy_force_ranges on;', 'slice 100;',
        'proxy_set_header Range $slice_range;', 'proxy_socket_keepalive on;',
        'proxy_ignore_headers X-Accel-Redirect;', 'proxy_cache_revalidate on;',
        'proxy_next_upstream_tries 1;', 'proxy_cache_methods POST GET;',
        'proxy_cache_bypass $arg_a;', 'proxy_no_cache $http_x_a;',
        'proxy_cache_min_uses 2;', 'proxy_cache_max_range_offset 5;',
        'proxy_cache_convert_head off;', 'proxy_read_timeout 100ms;',
        'proxy_redirect / /l1/;', 'proxy_cookie_path / /x;',
        'proxy_busy_buffers_size 4k;', 'proxy_set_header Connection "";',
        'proxy_set_body ' . text() . ';', 'proxy_cache_key ' . text() . ';',
    ) while chance(0.4);

    return @out;
}


# directives for http, server, location and "if in location" alike: nginx -t
# says where they may stand.  "postpone_output 0" is not among them: with
# X-Accel-Limit-Rate and without buffering nginx's own response has no end.
sub general {
    return ours() if chance(0.35);
    return pick(
        'add_header X-C ' . text() . pick('', ' always') . ';',
        'expires 1s;', 'etag off;', 'gzip on;', 'gunzip on;',
        'gzip_types *;', 'gzip_min_length 1;', 'gzip_proxied any;',
        'ssi on;', 'ssi_types *;', 'charset utf-8;', 'override_charset on;',
        "sub_filter id '\"x\"';", 'sub_filter_types *;',
        'sub_filter_once off;', 'add_before_body /' . target() . ';',
        'add_after_body /p/' . pick(@paths) . '/a;', 'addition_types *;',
        'mirror /' . target() . ';', 'mirror /p/' . pick(@paths) . '/m;',
        'auth_request /p/' . pick(qw(ok e404 slow none hang)) . '/a;',
        'auth_request /' . target() . ';',
        'auth_request_set $set ' . text() . ';',
        'error_page 404 500 502 503 504 ' . pick('', '=200 ', '= ') . '/'
            . target() . ';',
        'error_page 502 503 504 405 ' . pick('', '= ') . '@named;',
        'error_page 403 404 413 416 =200 /p/' . pick(@paths) . '/e;',
        'recursive_error_pages on;', 'post_action /' . target() . ';',
        'post_action /p/' . pick(@paths) . '/p;', 'log_subrequest on;',
        'lingering_close ' . pick(qw(off on always)) . ';',
        'lingering_time 1s;', 'lingering_timeout 300ms;',
        'keepalive_timeout ' . pick('0', '1s', '5s') . ';',
        'keepalive_requests 2;', 'reset_timedout_connection on;',
        'limit_req zone=lr burst=5;', 'limit_req zone=lr burst=5 nodelay;',
        'limit_conn lc 2;', 'limit_rate 20k;', 'limit_rate_after 1k;',
        'client_max_body_size ' . pick(10, '1k', 0) . ';',
        'client_body_buffer_size 1k;', 'client_body_in_file_only on;',
        'client_body_in_file_only clean;',
        'client_body_in_single_buffer on;', 'client_body_timeout 500ms;',
        'send_timeout 1s;', 'sendfile on;', 'tcp_nopush on;',
        'aio threads;', 'aio_write on;', 'directio 1;', 'output_buffers 1 1k;',
        'postpone_output 1460;', 'chunked_transfer_encoding off;',
        'satisfy any;', 'allow 127.0.0.1;', 'allow all;', 'max_ranges 1;',
        'if_modified_since ' . pick(qw(off before exact)) . ';',
        'default_type application/json;', 'default_type text/plain;',
        'access_log off;', 'server_tokens off;', 'port_in_redirect off;',
        'absolute_redirect off;', 'merge_slashes off;', 'msie_padding off;',
        'ignore_invalid_headers off;', 'underscores_in_headers on;',
        'open_file_cache max=10;', 'open_file_cache_errors on;',
        'request_pool_size 256;', 'connection_pool_size 256;',
        'large_client_header_buffers 2 1k;', 'client_header_buffer_size 1k;',
        'subrequest_output_buffer_size 100;', 'userid on;',
        'set $set ' . pick(text(), '$split', '$ramp') . ';',
        'valid_referers none localhost;',
        'rewrite ^/l(\d)/r /l0?$1 ' . pick(qw(last break)) . ';',
        'rewrite ^/l1/(.*)$ /p/ok/$1 ' . pick(qw(last break permanent)) . ';',
        'real_ip_header X-A;', 'set_real_ip_from 127.0.0.1;',
        'index a.json;', 'autoindex on;', 'gzip_static on;',
        "auth_basic x;\nauth_basic_user_file %%TESTDIR%%/users;",
        'auth_delay 100ms;', 'limit_req_dry_run on;', 'limit_rate $arg_r;',
        'limit_conn_dry_run on;', 'keepalive_disable none;', 'internal;',
        'sub_filter_last_modified on;', 'ssi_silent_errors on;',
        'ssi_last_modified on;', 'proxy_limit_rate 20k;',
        'gzip_buffers 2 1k;', 'gunzip_buffers 1 1k;', 'gzip_vary on;',
        'gzip_comp_level 1;', 'gzip_http_version 1.0;',
        'charset_types *;', 'source_charset utf-8;', 'disable_symlinks on;',
        'fastcgi_read_timeout 100ms;', 'memcached_gzip_flag 2;',
        'set $memcached_key a;', 'log_not_found off;', 'read_ahead 1k;',
        'sendfile_max_chunk 1k;', 'directio_alignment 4k;',
        'error_page 495 400 414 431 /l0;',
        'error_page 401 = /l1;', 'error_page 500 501 502 504 =200 /g0/v1'
            . pick('/items/1', '/watch?n=2', '/x') . ';',
        'send_lowat 100;', 'tcp_nodelay off;',
        'subrequest_output_buffer_size 1k;',
        'http2_max_concurrent_streams 2;', 'http2_chunk_size 100;',
        'http2_body_preread_size 0;', 'http2_max_requests 5;',
        'uninitialized_variable_warn off;', 'proxy_temp_file_write_size 4k;',
        'client_body_temp_path %%TESTDIR%%/cb 1;',
        'grpc_intercept_errors on;', 'grpc_read_timeout 200ms;',
    );
}


sub ours {
    return grpc_setting() if chance(0.12);
    return pick(
        'aggregate_cache z;', 'aggregate_cache z;', 'aggregate_cache z;',
        'aggregate_cache z redis=' . pick(qw(r r r s c t)) . ';',
        'aggregate_cache tiny;',
        'aggregate_cache off;', 'aggregate_cache_key ' . text() . ';',
        'aggregate_cache_identity ' . text() . ';',
        'aggregate_cache_ttl / 1s;', 'aggregate_cache_ttl /p/ 3s;',
        'aggregate_cache_valid 1s;', 'aggregate_cache_valid any 1s;',
        'aggregate_cache_valid 200 404 2s;',
        'aggregate_cache_stale updating 9s error 9s;',
        'aggregate_cache_bypass ' . variable() . ';',
        'aggregate_cache_no_store ' . variable() . ';',
        'aggregate_cache_ignore_headers ' . pick('Cookie Authorization',
            'Cache-Control', 'Set-Cookie', 'Vary') . ';',
        'aggregate_cache_lock ' . pick(qw(on off)) . ';',
        'aggregate_cache_lock_timeout ' . pick(qw(50ms 1s)) . ';',
        'aggregate_cache_tags ' . pick('$upstream_http_surrogate_key',
            '$aggregate_tags', text()) . ';',
        'aggregate_cache_purge_lost stale after=1s;',
        'aggregate_cache_purge_lost serve after=0;',
        'aggregate_cache_stale ' . pick('off', 'updating 1s', 'error 1s')
            . ';',
        'aggregate_apply ' . pick('s1', 's2', 'off', '$map', 's1 vary=X-A',
            '$arg_a empty=off', 's1 types=text/plain strict') . ';',
        'aggregate_shape_buffer ' . pick(1, '1k', '8m') . ';',
        'aggregate_debug ' . variable() . ';',
        'aggregate_metrics mz;', 'aggregate_metrics mz route=$uri;',
        'aggregate_metrics off;', 'aggregate_trace on;',
        'aggregate_trace ' . pick('50%', '$arg_a', 'off') . ';',
        'aggregate_trace_keep error slow=100ms;',
        'aggregate_trace_context ' . pick(qw(inject extract ignore)) . ';',
        'aggregate_trace_attr x.y ' . text() . pick('', ' span=client',
            ' span=server', ' span=aggregate') . ';',
        'aggregate_trace_context propagate;', 'aggregate_trace_keep off;',
        'aggregate_trace ' . pick('on', '10%', '$arg_a') . ' parent=' .
            pick(qw(follow ignore)) . ';', 'aggregate_trace_redact *;',
        'aggregate_trace_propagators b3 tracecontext b3multi;',
        'aggregate_log_level ' . pick(qw(warn info)) . ';',
        'aggregate_expose off;',
        'aggregate_buffer ' . pick(0, '1k', '64k') . ';',
        'aggregate_temp_path %%TESTDIR%%/at' . pick('', ' 1', ' 1 2') . ';',
        'aggregate_trace_name ' . text() . ';',
        'aggregate_trace_parent ' . text() . ';',
        'aggregate_trace_redact ' . pick('a', 'a b token') . ';',
        'breaker ' . pick('k', 'k2', '$arg_a', '$uri') . ' zone=bz'
            . pick('', ' policy=quick', ' policy=any', ' dry_run') . ';',
        'breaker off;', "breaker_fallback 200 application/json '{\"f\":1}';",
        'breaker_fallback 503;', 'breaker_fallback @named;',
        'breaker_fallback @agg;', 'breaker_log_level info;',
    );
}


# a true, a false or a random condition with anything inside
sub if_block {
    my ($in) = @_;
    my @out = 'if (' . pick('$arg_a', '$empty', '$request_method = GET',
                            '$request_method != GET', '$uri ~ l', '-f $uri',
                            '$http_x_a') . ') {';
    my $x = rand;

    push @out, pick('set $set 1;', 'add_header X-If 1;', 'return 204;',
                    'return 301 /l0;', 'rewrite ^ /l1 ' . pick('last;',
                    'break;'), 'break;') if chance(0.7);
    push @out, general() while chance(0.3);
    local $bare = 1;
    push @out, proxy() if $in eq 'location' && chance(0.2);
    return @out, '}';
}


sub location {
    my ($name, $depth) = @_;
    my @out = "location $name {";

    local $bare = $name =~ /~/ && $name !~ /\^~/;

    push @out, general() while chance(0.65);
    push @out, if_block('location') if chance(0.3);

    push @out, limit_except() if chance(0.15);

    if ($depth == 0 && $name =~ m{^/(l\d)$} && chance(0.3)) {
        push @out, location(pick("/$1/n", "= /$1/x", "~ ^/$1/r"), 1);
    }

    push @out, handler() if chance(0.9);
    push @out, handler() if chance(0.05);
    push @out, if_block('location') if chance(0.1);
    return @out, '}';
}


sub limit_except {
    return 'limit_except ' . pick('GET', 'POST', 'GET POST') . ' {',
        pick('deny all;', 'allow all;', 'limit_rate 9k;', ours(),
             'proxy_pass http://127.0.0.1:%%PORT_b%%;'), '}';
}


sub conf {
    my @out = (
        '%%GLOBALS%%', 'worker_processes ' . pick(1, 1, 2) . ';',
        pick('', '', 'worker_shutdown_timeout 500ms;'), 'events {',
        'worker_connections ' . pick((256) x 15, 20, 24, 30) . ';',
        pick('', 'multi_accept on;', 'accept_mutex on;'), '}', 'http {',
        '%%HTTP%%',
        'proxy_cache_path %%TESTDIR%%/pc keys_zone=pc:1m;',
        'client_header_timeout 1s;', 'client_body_timeout 1s;',
        'lingering_time 1s;', 'proxy_read_timeout 700ms;',
        'proxy_connect_timeout 500ms;',
        'proxy_send_timeout 700ms;', 'resolver_timeout 500ms;',
        (map { "${_}_read_timeout 700ms;" }
            qw(fastcgi uwsgi scgi memcached grpc)),
        'limit_req_zone $binary_remote_addr zone=lr:1m rate=200r/s;',
        'limit_conn_zone $binary_remote_addr zone=lc:1m;',
        'aggregate_cache_zone z 2m;',
        'aggregate_cache_zone tiny 256k max_object=2k;',
        'breaker_zone bz ' . pick('256k', '32k') . ';',
        'aggregate_metrics_zone mz ' . pick('1m', '1m series=20',
            '256k buckets=0.01,1') . ';',
        'aggregate_graphql_zone apq ' . pick('256k', '32k') . ';',
        'aggregate_trace_exporter {',
        'endpoint http://127.0.0.1:%%PORT_b%%/'
            . pick(qw(ok e429 e503 hang reset cut)) . '/v1/traces;',
        'interval 300ms;', exporter(), '}',
        'aggregate_split_zone sp 64k' . pick('', ' state=%%TESTDIR%%/sp.json')
            . ';',
        'aggregate_split $split key=$arg_a zone=sp {',
        split_choice(), '30% v2;', split_abort(), '* v1;', '}',
        'aggregate_split $ramp key=$arg_a' . pick('', ' salt=x', ' zone=sp')
            . ' {', split_choice(), pick('ramp v2 0% 100% every=1s;', '5% v2;',
            'ramp v2 1% 2% 3% 99% every=1s;'), split_abort(), '* v1;', '}',
        'breaker_policy quick {', 'failure_threshold 2;',
        'recovery_timeout 300ms;', pick('probes 1;', 'slow_call 100ms;'), '}',
        'breaker_policy any {', policy(), '}',
        'aggregate_grpc_descriptor %%TESTDIR%%/items.pb;',
        'aggregate_redis r {', 'server 127.0.0.1:%%PORT_redis%%;',
        'timeout 100ms;', redis_setting(), '}',
        'aggregate_redis s {',
        'sentinel m 127.0.0.1:%%PORT_redis%% 127.0.0.1:%%PORT_dead%%;',
        redis_login('sentinel_'), redis_setting(), 'timeout 100ms;', '}',
        'aggregate_redis c {', 'server 127.0.0.1:%%PORT_redis%%;',
        'cluster on;', redis_setting(), 'timeout 100ms;', '}',
        'aggregate_redis t {', 'server 127.0.0.1:%%PORT_redis%%;', 'tls on;',
        tls_setting(), redis_login(''), redis_setting(), 'timeout 100ms;', '}',
        'aggregate_shape s1 {', 'allow id a.b list;', 'limit list 1;', '}',
        'aggregate_shape s2 {', 'set x 1;', shape(), '}',
        'map $arg_a $map {', 'default s1;', "'' s2;", 'x off;', 'y bad;', '}',
        'map $uri $empty {', "default '';", '}',
        'upstream up {', 'server 127.0.0.1:%%PORT_b%%;',
        'server 127.0.0.1:%%PORT_dead%%;',
        pick('', 'keepalive 2;', 'least_conn;', 'zone up 64k;',
             'aggregate_balance peak_ewma;',
             "aggregate_balance peak_ewma;\naggregate_balance_local ::1 "
             . '127.0.0.0/8;',
             'aggregate_balance peak_ewma decay=1s penalty=10ms '
             . 'failures=error,http_404;', 'random two least_conn;',
             'hash $uri consistent;'), '}',
        'upstream grpc {', 'server 127.0.0.1:%%PORT_grpc%%;',
        some('server 127.0.0.1:%%PORT_dead%% max_fails=0;', 'keepalive 2;',
             'server 127.0.0.1:%%PORT_b%% backup;',
             'aggregate_balance peak_ewma;', 'zone g 64k;'), '}',
    );

    push @out, general() while chance(0.65);
    push @out, server('%%PORT_h1%%', pick('', ' sndbuf=16k', ' rcvbuf=1k'),
                      'listen 127.0.0.1:%%PORT_pp%% proxy_protocol;');
    push @out, server('%%PORT_h2%%', ' http2');
    push @out, '}';

    # nginx forgets a mirrored request that "limit_req" delays when its HTTP/2
    # client leaves
    @out = map { s/^limit_req \w+=\w+ burst=5;/limit_req zone=lr;/r } @out
        if grep { /^mirror / } @out;

    return without_post_action(join "\n", grep { $_ ne '' } @out, '');
}


sub some {
    my (@from) = @_;
    return grep { chance(0.3) } @from;
}


# all that the exporter has, but for TLS
sub exporter {
    return some('protocol json;', 'service s;', 'resource a b;',
                'header X-A b;', 'batch 2;', 'queue 64k;', 'timeout 200ms;',
                'gzip on;', 'spans 3;', 'tls_verify off;',
                'tls_name localhost;', 'tls_ca %%TESTDIR%%/cert.pem;',
                "tls_certificate %%TESTDIR%%/cert.pem;\n"
                . 'tls_certificate_key %%TESTDIR%%/key.pem;');
}


sub shape {
    return some('target ' . pick('list', 'a', 'items') . ';', 'deny id;',
                'move a.b ' . pick('c.d.e', 'id') . ';', 'rename a zz;',
                'set n.o ' . pick('$arg_a', '{"p":[1]}', '$empty') . ';',
                'limit ' . pick('list $arg_a 2', 'list 1', '0') . ';',
                'allow a.* list.id;', "deny '\"a\".b' list;");
}


sub split_choice {
    return some('header X-A;', 'header X-A if=$cookie_a;', 'cookie a;');
}


sub split_abort {
    return some(pick('abort;', 'abort errors=1% min=2 window=1s;',
                     'abort latency=2x min=2;'));
}


sub policy {
    return some(
        'failure_threshold ' . pick(1, 5) . ';', 'failure_rate 30%;',
        'slow_call 50ms;', 'slow_rate 50%;', 'window 2s;', 'minimum_calls 2;',
        'recovery_timeout 200ms;', 'max_recovery_timeout 1s;', 'jitter 10%;',
        'probes 2;', 'probe_concurrency 2;', 'probe_timeout 300ms;',
        'failures ' . pick('error', 'timeout http_404', 'http_500 http_503 '
                           . 'grpc_unavailable grpc_not_found') . ';',
    );
}


sub redis_setting {
    return some('database 1;', 'prefix p;', 'connect_timeout 50ms;');
}


sub redis_login {
    my ($of) = @_;

    return chance(0.7) ? () : ("${of}user u;", "${of}password x;");
}


sub tls_setting {
    return some('tls_verify off;', 'tls_name localhost;',
                'tls_ca %%TESTDIR%%/cert.pem;'),
        chance(0.7) ? () : ('tls_certificate %%TESTDIR%%/cert.pem;',
                            'tls_certificate_key %%TESTDIR%%/key.pem;');
}


# nginx's own: after "post_action" a connection with "limit_rate" is not read
# any more, and a reset of the HTTP/2 stream may free the request twice
sub without_post_action {
    my ($conf) = @_;

    my $rate = $conf =~ /^limit_rate /m;
    my ($http, $h1, $h2) = split /^(?=server \{$)/m, $conf, 3;

    s/^post_action .*\n//mg for $http, $h2, $rate ? $h1 : ();

    return $http . $h1 . $h2;
}


sub server {
    my ($port, $with, @more) = @_;
    my @out = ('server {', "listen 127.0.0.1:$port$with;", @more,
               'server_name localhost;', "set \$set '';");

    push @out, general() while chance(0.6);
    push @out, if_block('server') if chance(0.2);

    for my $n (0 .. $locations - 1) {
        push @out, location(pick("/l$n", "/l$n", "/l$n", "= /l$n", "^~ /l$n",
                                 "~ ^/l$n", "~* ^/L$n/?(?<cap>.*)"), 0);
    }

    push @out, grpc("/g$_") for 0 .. 2;
    push @out, 'location /p/ {', pick('internal;', '', ''),
        'proxy_pass http://127.0.0.1:%%PORT_b%%/;', (map { general() }
            1 .. rand 3), '}';
    local $bare = 1;
    push @out, 'location @named {', (map { general() } 1 .. rand 3),
        pick(\&proxy, \&aggregate, sub { 'return 200 named;' })->(), '}';
    push @out, 'location @agg {', aggregate(), '}';
    push @out, 'location = /stub {', 'access_log off;', 'stub_status;', '}';
    return @out, '}';
}


# the statement that stands in line N is taken out, a block with all of it;
# undef when nothing is left to take out there
sub without_line {
    my ($text, $n) = @_;
    my @lines = split /\n/, $text;

    return undef if $n < 1 || $n > @lines;

    my $line = $lines[$n - 1];

    # an error at its end is one of the whole block
    if ($line eq '}') {
        my $depth = 0;

        for (; $n > 0; $n--) {
            $depth++ if $lines[$n - 1] eq '}';
            $depth-- if $lines[$n - 1] =~ /\{$/;
            last if !$depth;
        }

        return undef if $n < 1;
        $line = $lines[$n - 1];
    }

    return undef if $line =~ /^(?:%%|http|events|server \{|listen|\})/;

    my $last = $n - 1;

    if ($line =~ /\{$/) {
        my $depth = 0;

        for ($last = $n - 1; $last < @lines; $last++) {
            $depth++ if $lines[$last] =~ /\{$/;
            $depth-- if $lines[$last] =~ /^\}/;
            last if !$depth;
        }
    }

    splice @lines, $n - 1, $last - $n + 2;
    return join "\n", @lines, '';
}


1;
