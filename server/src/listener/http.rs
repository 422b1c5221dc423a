//! The few pages beside the WebSocket: health, readiness, metrics.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use lockstep_protocol::link::SYNC_PATH;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::Shared;
use crate::config::MetricsAccess;

/// A small answer.
pub(super) type Page = Response<Full<Bytes>>;

/// Answers the requests of one connection, and holds on to its upgrade if there is one.
pub(super) struct Pages<'a> {
    shared: &'a Shared,
    peer: IpAddr,
    upgrade: Arc<Mutex<Option<OnUpgrade>>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(shared: &'a Shared, peer: IpAddr) -> Self {
        Self { shared, peer, upgrade: Arc::default() }
    }

    /// The upgrade that a request asked for.
    pub(super) fn upgrade(&self) -> Option<OnUpgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers a request.
    pub(super) fn call(&self, request: Request<Incoming>) -> Ready<Result<Page, Infallible>> {
        ready(Ok(self.answer(request)))
    }

    fn answer(&self, mut request: Request<Incoming>) -> Page {
        if request.method() != Method::GET {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        match request.uri().path() {
            SYNC_PATH => {
                let upgrade = hyper::upgrade::on(&mut request);
                match create_response_with_body(&request, Full::default) {
                    Ok(response) => {
                        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                        response
                    }
                    Err(_) => page(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket (RFC 6455)\n"),
                }
            }
            "/healthz" => page(StatusCode::OK, "ok\n"),
            "/readyz" if self.shared.hub.is_ready() => page(StatusCode::OK, "ready\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            "/metrics" => match self.shared.metrics_access {
                // Behind a proxy everyone seems to be here.
                MetricsAccess::Local if !self.peer.is_loopback() || self.shared.offences.is_none() => {
                    page(StatusCode::FORBIDDEN, "metrics are for this machine only; see listen.metrics\n")
                }
                _ => {
                    let mut response = page(StatusCode::OK, self.shared.metrics.to_text());
                    let text = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
                    response.headers_mut().insert(CONTENT_TYPE, text);
                    response
                }
            },
            _ => page(StatusCode::NOT_FOUND, "nothing here\n"),
        }
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
