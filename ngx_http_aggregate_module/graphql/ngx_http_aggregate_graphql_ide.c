
/* A page for trying out operations: one file, without external resources. */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_send.h"


/* the page may use its inline script and style, and call its own origin */

#define NGX_HTTP_AGGREGATE_GRAPHQL_POLICY                                     \
    "default-src 'none'; script-src 'unsafe-inline'; "                        \
    "style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "        \
    "form-action 'none'; frame-ancestors 'none'"


static u_char  ngx_http_aggregate_graphql_page[] =
"<!DOCTYPE html>\n"
"<html lang=\"en\"><head><meta charset=\"utf-8\"><title>GraphQL</title>\n"
"<meta name=\"viewport\" content=\"width=device-width\">\n"
"<style>\n"
"html{color-scheme:light dark}\n"
"html,body{height:100%;margin:0;font:14px/1.4 system-ui,sans-serif}\n"
"body{display:grid;grid-template:auto 1fr auto/1fr 1fr minmax(12em,20em)}\n"
"header{grid-column:1/4;padding:8px;border-bottom:1px solid #ccc}\n"
"textarea,pre,#schema{font:13px/1.4 ui-monospace,monospace;margin:0;\n"
"padding:8px;border:0;border-right:1px solid #ccc;overflow:auto}\n"
"textarea{resize:none;outline:0}#result{grid-row:2/4;grid-column:2}\n"
"#variables{border-top:1px solid #ccc;height:8em}\n"
"#schema{grid-row:2/4;grid-column:3;white-space:pre-wrap}\n"
"button{font:inherit;padding:4px 12px}\n"
"summary{cursor:pointer;font-weight:bold}\n"
"pre,#schema,textarea{min-width:0;overflow-wrap:anywhere;\n"
"box-sizing:border-box}\n"
"@media(max-width:700px){html,body{height:auto}\n"
"body{grid-template:auto 30vh 8em auto auto/1fr}\n"
"body>*{grid-column:1!important;grid-row:auto!important}\n"
"#variables{grid-row:3!important}#result{white-space:pre-wrap}}\n"
"</style></head><body>\n"
"<header><button id=\"run\" title=\"Ctrl+Enter\">Run</button>\n"
"<select id=\"name\" hidden></select> <span id=\"state\"></span></header>\n"
"<textarea id=\"query\" spellcheck=\"false\" autofocus\n"
" aria-label=\"Query\">{ __typename }</textarea>\n"
"<pre id=\"result\" aria-label=\"Result\"></pre>\n"
"<div id=\"schema\" aria-label=\"Schema\"></div>\n"
"<textarea id=\"variables\" spellcheck=\"false\" placeholder=\"Variables\"\n"
" aria-label=\"Variables\"></textarea>\n"
"<script>\n"
"'use strict';\n"
"const $ = id => document.getElementById(id);\n"
"const kept = 'graphql:' + location.pathname;\n"
"async function ask(body) {\n"
"  const response = await fetch(location.pathname, {method: 'POST',\n"
"    headers: {'Content-Type': 'application/json',\n"
"      Accept: 'application/graphql-response+json,application/json'},\n"
"    body: JSON.stringify(body)});\n"
"  return [response, await response.text()];\n"
"}\n"
"function names() {\n"
"  const found = [...$('query').value.matchAll(\n"
"    /\\b(?:query|mutation)\\s+([_A-Za-z]\\w*)/g)].map(m => m[1]);\n"
"  const chosen = $('name').value;\n"
"  $('name').replaceChildren(...found.map(n => new Option(n)));\n"
"  if (found.includes(chosen)) $('name').value = chosen;\n"
"  $('name').hidden = found.length < 2;\n"
"}\n"
"async function run() {\n"
"  const body = {query: $('query').value};\n"
"  try {\n"
"    if ($('variables').value.trim())\n"
"      body.variables = JSON.parse($('variables').value);\n"
"  } catch (e) {\n"
"    $('result').textContent = 'Variables: ' + e.message;\n"
"    return;\n"
"  }\n"
"  if (!$('name').hidden) body.operationName = $('name').value;\n"
"  try { localStorage.setItem(kept, JSON.stringify(\n"
"    [$('query').value, $('variables').value])); } catch (e) {}\n"
"  $('state').textContent = '...';\n"
"  const start = performance.now();\n"
"  try {\n"
"    const [response, text] = await ask(body);\n"
"    $('state').textContent = response.status + ', '\n"
"      + Math.round(performance.now() - start) + ' ms, '\n"
"      + (response.headers.get('X-Aggregate') || '');\n"
"    $('result').textContent = pretty(text);\n"
"  } catch (e) { $('state').textContent = e.message; }\n"
"}\n"
"function pretty(text) {\n"
"  let out = '', depth = 0, quoted = false;\n"
"  const line = () => '\\n' + '  '.repeat(depth);\n"
"  for (let i = 0; i < text.length; i++) {\n"
"    const c = text[i];\n"
"    if (quoted) {\n"
"      out += c;\n"
"      if (c === '\\\\') out += text[++i] || '';\n"
"      else if (c === '\"') quoted = false;\n"
"    } else if (c === '\"') { quoted = true; out += c; }\n"
"    else if ((c === '{' || c === '[') && /[}\\]]/.test(text[i + 1]))\n"
"      out += c + text[++i];\n"
"    else if (c === '{' || c === '[') { depth++; out += c + line(); }\n"
"    else if (c === '}' || c === ']') { depth--; out += line() + c; }\n"
"    else if (c === ',') out += c + line();\n"
"    else if (c === ':') out += ': ';\n"
"    else out += c;\n"
"  }\n"
"  return out;\n"
"}\n"
"const named = t => t.ofType ? t.kind === 'LIST' ? '[' + named(t.ofType)\n"
"  + ']' : named(t.ofType) + '!' : t.name;\n"
"async function schema() {\n"
"  const type = 'kind name ofType{kind name ofType{kind name ofType{kind '\n"
"    + 'name}}}';\n"
"  const [, text] = await ask({query: '{__schema{types{kind name '\n"
"    + 'description fields{name args{name type{' + type + '}} '\n"
"    + 'type{' + type + '}} '\n"
"    + 'inputFields{name type{' + type + '}} enumValues{name} '\n"
"    + 'possibleTypes{name}}}}'});\n"
"  const data = JSON.parse(text).data;\n"
"  if (!data) return;\n"
"  for (const t of data.__schema.types) {\n"
"    if (t.name.startsWith('__')) continue;\n"
"    const box = document.createElement('details');\n"
"    const head = document.createElement('summary');\n"
"    head.textContent = t.name;\n"
"    const lines = (t.fields || t.inputFields || t.enumValues\n"
"      || t.possibleTypes || []).map(f => f.name + (f.args && f.args.length\n"
"      ? '(' + f.args.map(a => a.name + ': ' + named(a.type)).join(', ')\n"
"      + ')' : '') + (f.type ? ': ' + named(f.type) : ''));\n"
"    if (t.description) lines.unshift('# ' + t.description);\n"
"    box.append(head, lines.join('\\n'));\n"
"    $('schema').append(box);\n"
"  }\n"
"}\n"
"try {\n"
"  const last = JSON.parse(localStorage.getItem(kept));\n"
"  if (last) [$('query').value, $('variables').value] = last;\n"
"} catch (e) {}\n"
"const asked = new URLSearchParams(location.search);\n"
"if (asked.get('query')) $('query').value = asked.get('query');\n"
"if (asked.get('variables')) $('variables').value = asked.get('variables');\n"
"$('run').onclick = run;\n"
"$('query').oninput = names;\n"
"document.onkeydown = e => {\n"
"  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) run();\n"
"};\n"
"names();\n"
"schema();\n"
"</script></body></html>\n";


ngx_int_t
ngx_http_aggregate_graphql_ide(ngx_http_request_t *r)
{
    ngx_buf_t   *b;
    ngx_str_t    policy, vary, no_store;
    ngx_list_t  *headers;

    static ngx_str_t  type = ngx_string("text/html; charset=utf-8");

    headers = &r->headers_out.headers;

    ngx_str_set(&policy, NGX_HTTP_AGGREGATE_GRAPHQL_POLICY);
    ngx_str_set(&vary, "Accept");
    ngx_str_set(&no_store, "no-store");

    if (ngx_http_aggregate_header_add(headers, "Content-Security-Policy",
                                      &policy)
        == NULL
        || ngx_http_aggregate_header_add(headers, "Vary", &vary) == NULL
        || ngx_http_aggregate_header_add(headers, "Cache-Control", &no_store)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = ngx_http_aggregate_graphql_page;
    b->last = b->pos + sizeof(ngx_http_aggregate_graphql_page) - 1;
    b->memory = 1;

    return ngx_http_aggregate_send_buf(r, NGX_HTTP_OK, &type, b);
}
