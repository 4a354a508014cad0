//! The dashboard's own files. They are in the program, where it was built with them.

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::Http;

type Files = &'static [(&'static str, &'static [u8])];

/// By path, such as `/index.html` and `/assets/index-1f2e3d4c.js`; compressed ones end in `.gz`.
static FILES: Files = include!(concat!(env!("OUT_DIR"), "/dashboard_files.rs"));

/// Paths below which the page itself decides what to show.
const PAGES: [&str; 10] = [
    "/",
    "/functions",
    "/functions/{name}",
    "/executors",
    "/executors/{id}",
    "/environments",
    "/environments/{hash}",
    "/errors",
    "/why",
    "/events",
];

/// What a page may load and do: its own files and API, nothing else.
const SECURITY: [(HeaderName, &str); 4] = [
    (
        axum::http::header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (axum::http::header::REFERRER_POLICY, "no-referrer"),
    (axum::http::header::X_FRAME_OPTIONS, "DENY"),
];

/// The dashboard's routes.
pub fn routes() -> axum::Router<Http> {
    let pages = PAGES.iter().fold(axum::Router::new(), |routes, path| routes.route(path, get(index)));
    pages.route("/assets/{file}", get(asset))
}

async fn index(headers: HeaderMap) -> Response {
    page(FILES, &headers)
}

/// The page, or what says how to get it.
fn page(files: Files, headers: &HeaderMap) -> Response {
    match file(files, "/index.html", headers) {
        Some(answer) => with(answer, CACHE_CONTROL, "no-cache"),
        None => secured(Html(NOT_BUILT).into_response()),
    }
}

/// Their names change with their content.
async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    match file(FILES, uri.path(), &headers) {
        Some(answer) => with(answer, CACHE_CONTROL, "public, max-age=31536000, immutable"),
        None => secured(StatusCode::NOT_FOUND.into_response()),
    }
}

fn find(files: Files, path: &str) -> Option<&'static [u8]> {
    files.iter().find(|(name, _)| *name == path).map(|(_, content)| *content)
}

fn file(files: Files, path: &str, headers: &HeaderMap) -> Option<Response> {
    let plain = find(files, path)?;
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let compressed = if accepted.contains("gzip") { find(files, &format!("{path}.gz")) } else { None };
    let mut answer = with(compressed.unwrap_or(plain).into_response(), CONTENT_TYPE, content_type(path));
    if compressed.is_some() {
        answer = with(answer, CONTENT_ENCODING, "gzip");
    }
    Some(secured(with(answer, VARY, "accept-encoding")))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn with(mut answer: Response, name: HeaderName, value: &'static str) -> Response {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

fn secured(answer: Response) -> Response {
    SECURITY.into_iter().fold(answer, |answer, (name, value)| with(answer, name, value))
}

const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>udfleet</title>
<h1>udfleet</h1>
<p>This coordinator was built without its dashboard. With Node 20.19 or newer, in the source checkout:</p>
<pre>make dashboard
cargo build --release -p udfleet-coordinator</pre>
<p>Wheels and images have it. Everything that it shows is under <a href=\"/api/v1/topics/overview\">/api/v1</a>,
on <a href=\"/metrics\">/metrics</a>, and in <code>udfleet status</code>.</p>
</html>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_bound_to_this_origin() {
        let answer = secured(Html(NOT_BUILT).into_response());
        let policy = answer.headers()[axum::http::header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(!NOT_BUILT.contains("<script") && !NOT_BUILT.contains("style="), "the policy allows neither");
    }

    #[test]
    fn compressed_files_go_to_those_who_take_them() {
        let files: Files = &[("/index.html", b"<p>"), ("/index.html.gz", b"gz")];
        let mut headers = HeaderMap::new();
        assert!(!file(files, "/index.html", &headers).unwrap().headers().contains_key(CONTENT_ENCODING));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        let answer = file(files, "/index.html", &headers).unwrap();
        assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(file(files, "/assets/nothing.js", &headers).is_none());
    }

    #[tokio::test]
    async fn without_node_the_page_says_how_to_get_the_dashboard() {
        let answer = page(&[], &HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().contains_key(axum::http::header::CONTENT_SECURITY_POLICY));
        let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("make dashboard") && text.contains("/api/v1/topics/overview"), "{text}");
    }
}
