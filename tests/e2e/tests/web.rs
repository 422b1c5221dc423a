//! What a browser gets from the hub's port: the inbox or how to build it, how to trust the hub, and nothing for pages of
//! other origins.

use std::process::Command;

use lockstep_e2e::{Hub, program, raw};
use lockstep_protocol::link::{PINNED_PATH, SYNC_PATH};
use sha2::{Digest, Sha256};

/// Head and body of an answer.
async fn request(hub: &Hub, head: &str) -> (String, Vec<u8>) {
    let answer = raw::request(&hub.address(), head).await;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    (String::from_utf8(answer[..end].to_vec()).expect("text"), answer[end + 4..].to_vec())
}

async fn get(hub: &Hub, path: &str, headers: &str) -> (String, Vec<u8>) {
    request(hub, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", hub.address())).await
}

#[tokio::test]
async fn a_browser_gets_pages_that_are_locked_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::create(&folder.path().join("hub"));
    let rows = [
        ("/", "200", "text/html"),
        ("/trust", "200", "text/html"),
        ("/page.css", "200", "text/css"),
        ("/authority.crt", "200", "application/x-x509-ca-cert"),
        ("/healthz", "200", "text/plain"),
        ("/../../etc/passwd", "404", "text/plain"),
        ("/assets/", "404", "text/plain"),
        ("/.gitignore", "404", "text/plain"),
    ];
    for (path, status, kind) in rows {
        let (head, _) = get(&hub, path, "").await;
        let head = head.to_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
        ] {
            assert!(head.contains(header), "{path} does not say {header}: {head}");
        }
    }
    let (head, body) = request(&hub, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty());
    let (head, _) = request(&hub, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");

    // The page itself is asked for again each time, and sent again only if it changed.
    let (head, page) = get(&hub, "/", "").await;
    let page = String::from_utf8(page).expect("text");
    if let Some(tag) = head.lines().find_map(|line| line.to_lowercase().strip_prefix("etag: ").map(str::to_owned)) {
        let (head, body) = get(&hub, "/", &format!("If-None-Match: {tag}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
        assert!(page.contains("<script"), "the inbox");
    } else {
        assert!(page.contains("npm run build"), "how to get the inbox: {page}");
    }

    // What is to be trusted is what the machine's owner is shown.
    let (_, certificate) = get(&hub, "/authority.crt", "").await;
    let pairs: Vec<String> = Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    let status = hub.json(&["status"]);
    assert_eq!(status["authority"], pairs.join(":").as_str());
    let (_, pinned) = get(&hub, PINNED_PATH, "").await;
    assert_eq!(status["pinned_key"], String::from_utf8(pinned).expect("text").as_str());
    drop(hub.stop());
}

#[tokio::test]
async fn only_pages_of_this_hub_may_connect() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = ["listen.origins=https://inbox.example"];
    let hub = Hub::create_through(Command::new(program("lockstep")), &folder.path().join("hub"), &settings);
    let own = format!("https://{}", hub.address());
    let rows = [
        (None, "101"),
        (Some(own.as_str()), "101"),
        (Some("https://inbox.example"), "101"),
        (Some("https://evil.example"), "403"),
        (Some("http://inbox.example"), "403"),
        (Some("null"), "403"),
    ];
    for (origin, status) in rows {
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        let wants =
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let head = raw::head(
            &hub.address(),
            &format!(
                "GET {SYNC_PATH} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n{wants}{origin}\r\n",
                hub.address()
            ),
        )
        .await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {head}");
    }
    drop(hub.stop());
}
