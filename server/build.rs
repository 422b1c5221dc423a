//! Builds the program anew when the inbox was: `src/inbox.rs` has its files.

fn main() {
    println!("cargo:rerun-if-changed=../client-sdk/web/inbox/dist");
    println!("cargo:rerun-if-changed=build.rs");
}
