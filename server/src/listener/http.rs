//! What HTTP asks for: the WebSocket, the inbox and how to trust this hub, health, readiness, metrics.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, ORIGIN, VARY,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use lockstep_protocol::link::{PINNED_PATH, SYNC_PATH};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::Shared;
use crate::config::MetricsAccess;
use crate::inbox::{File, INBOX};

/// A small answer.
pub(super) type Page = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What every answer says. Pages run the scripts of this hub alone, speak to this hub alone, and stand in no other's frame;
/// Automerge is WebAssembly. The camera reads pairing codes.
const EVERYWHERE: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; \
         media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(self), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Answers the requests of one connection, and holds on to its upgrade if there is one.
pub(super) struct Pages<'a> {
    shared: &'a Shared,
    peer: IpAddr,
    /// The connection's place among handshakes: free once a request has come.
    handshake: Mutex<Option<OwnedSemaphorePermit>>,
    upgrade: Arc<Mutex<Option<OnUpgrade>>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(shared: &'a Shared, peer: IpAddr, handshake: OwnedSemaphorePermit) -> Self {
        Self { shared, peer, handshake: Mutex::new(Some(handshake)), upgrade: Arc::default() }
    }

    /// The upgrade that a request asked for.
    pub(super) fn upgrade(&self) -> Option<OnUpgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers a request.
    pub(super) fn call(&self, request: Request<Incoming>) -> Ready<Result<Page, Infallible>> {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut answer = self.answer(request);
        for &(name, value) in EVERYWHERE {
            answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        ready(Ok(answer))
    }

    fn answer(&self, request: Request<Incoming>) -> Page {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            SYNC_PATH => self.websocket(request),
            PINNED_PATH => page(StatusCode::OK, TEXT, self.shared.pinned.to_string()),
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" if self.shared.hub.is_ready() => page(StatusCode::OK, TEXT, "ready\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
            "/metrics" => match self.shared.metrics_access {
                // Behind a proxy everyone seems to be here.
                MetricsAccess::Local if !self.peer.is_loopback() || self.shared.offences.is_none() => {
                    page(StatusCode::FORBIDDEN, TEXT, "metrics are for this machine only; see listen.metrics\n")
                }
                _ => page(
                    StatusCode::OK,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    self.shared.metrics.to_text(),
                ),
            },
            "/trust" => page(StatusCode::OK, HTML, include_str!("pages/trust.html")),
            "/page.css" => page(StatusCode::OK, "text/css; charset=utf-8", include_str!("pages/page.css")),
            // Phones and PCs know by this type that it is to be trusted, and ask.
            "/authority.crt" => match &self.shared.authority {
                Some(certificate) => page(StatusCode::OK, "application/x-x509-ca-cert", certificate.clone()),
                None => page(StatusCode::NOT_FOUND, TEXT, "this hub has a certificate of its operator's\n"),
            },
            "/" if !INBOX.is_built() => page(StatusCode::OK, HTML, include_str!("pages/unbuilt.html")),
            path => match INBOX.find(path) {
                Some(found) => file(found, request.headers()),
                None => page(StatusCode::NOT_FOUND, TEXT, "nothing here\n"),
            },
        }
    }

    /// A browser says whose page wants the connection: no other page may use what this one's visitor may.
    fn websocket(&self, mut request: Request<Incoming>) -> Page {
        let headers = request.headers();
        if let Some(origin) = headers.get(ORIGIN)
            && !is_own_origin(origin, headers.get(HOST), &self.shared.origins)
        {
            return page(StatusCode::FORBIDDEN, TEXT, "pages of another origin may not connect; see listen.origins\n");
        }
        let upgrade = hyper::upgrade::on(&mut request);
        match create_response_with_body(&request, Full::default) {
            Ok(response) => {
                *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                response
            }
            Err(_) => page(StatusCode::UPGRADE_REQUIRED, TEXT, "this is a WebSocket (RFC 6455)\n"),
        }
    }
}

/// Whether a page of this origin is the hub's own, by the name that its visitor reached it under, or of a listed one.
fn is_own_origin(origin: &HeaderValue, host: Option<&HeaderValue>, listed: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let host = host.and_then(|host| host.to_str().ok());
    let own = origin.strip_prefix("https://").is_some_and(|origin| host.is_some_and(|host| host == origin));
    own || listed.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// A file of the inbox, or that the browser has it already.
fn file(file: &File, asked: &HeaderMap) -> Page {
    let has = |header: HeaderName, wanted: &str| {
        let values = asked.get_all(header);
        let parts = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        parts.map(str::trim).any(|part| part == wanted)
    };
    let (status, brotli) = match has(IF_NONE_MATCH, &file.tag) {
        true => (StatusCode::NOT_MODIFIED, None),
        false => (StatusCode::OK, file.brotli.as_ref().filter(|_| has(ACCEPT_ENCODING, "br"))),
    };
    let body = match status {
        StatusCode::NOT_MODIFIED => Bytes::new(),
        _ => brotli.unwrap_or(&file.plain).clone(),
    };
    let mut response = page(status, file.kind, body);
    let headers = response.headers_mut();
    if brotli.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // A tag is hexadecimal digits in quotes.
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        headers.insert(ETAG, tag);
    }
    let cached = if file.is_immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_hub_connect() {
        let listed = ["https://inbox.example/".to_owned()];
        let rows = [
            ("https://hub.lan:7443", Some("hub.lan:7443"), true),
            ("https://192.168.1.20:7443", Some("192.168.1.20:7443"), true),
            ("https://inbox.example", Some("hub.lan:7443"), true),
            ("HTTPS://INBOX.example", Some("hub.lan:7443"), true),
            ("https://hub.lan", Some("hub.lan:7443"), false),
            ("http://hub.lan:7443", Some("hub.lan:7443"), false),
            ("https://hub.lan:7443.evil.example", Some("hub.lan:7443"), false),
            ("https://evil.example", Some("hub.lan:7443"), false),
            ("https://evil.example", None, false),
            ("null", Some("hub.lan:7443"), false),
        ];
        for (origin, host, allowed) in rows {
            let host = host.map(HeaderValue::from_static);
            let is_own = is_own_origin(&HeaderValue::from_static(origin), host.as_ref(), &listed);
            assert_eq!(is_own, allowed, "{origin} at {host:?}");
        }
    }

    #[test]
    fn files_are_sent_once_and_compressed() {
        let made = |is_immutable| File {
            kind: "text/javascript; charset=utf-8",
            tag: "\"abc\"".into(),
            is_immutable,
            plain: Bytes::from_static(b"plain"),
            brotli: Some(Bytes::from_static(b"br")),
        };
        let asked =
            |name: HeaderName, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        let rows = [
            (HeaderMap::new(), StatusCode::OK, None),
            (asked(ACCEPT_ENCODING, "gzip, deflate, br, zstd"), StatusCode::OK, Some("br")),
            (asked(ACCEPT_ENCODING, "gzip"), StatusCode::OK, None),
            (asked(IF_NONE_MATCH, "\"abc\""), StatusCode::NOT_MODIFIED, None),
            (asked(IF_NONE_MATCH, "\"x\", \"abc\""), StatusCode::NOT_MODIFIED, None),
            (asked(IF_NONE_MATCH, "\"abd\""), StatusCode::OK, None),
        ];
        for (headers, status, encoding) in rows {
            let response = file(&made(false), &headers);
            let found = response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!((response.status(), found), (status, encoding), "{headers:?}");
            assert_eq!(response.headers()[ETAG], "\"abc\"");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        }
        assert_eq!(
            file(&made(true), &HeaderMap::new()).headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
    }
}
