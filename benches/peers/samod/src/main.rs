//! samod: a hub with TCP and files, four repos, one document with a list of messages.
//! `lockstep-peer-samod FOLDER MESSAGES` prints one line of JSON; see ../README.md.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};
use futures::StreamExt;
use samod::storage::TokioFilesystemStorage;
use samod::{BackoffConfig, DocHandle, Repo, Url};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

const READERS: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder, "serve"] => serve(folder).await,
        [folder, messages] => converge(folder, messages.parse()?).await,
        _ => anyhow::bail!("arguments: FOLDER MESSAGES"),
    }
}

/// A hub that prints its address and runs until it is killed.
async fn serve(folder: &str) -> anyhow::Result<()> {
    let repo = Repo::build_tokio().with_storage(TokioFilesystemStorage::new(folder)).load().await;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = repo.make_acceptor(format!("tcp://{address}").parse()?)?;
    println!("{address}");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        acceptor.accept_tokio_io(stream)?;
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the hub on the core for servers; answers its address, too.
fn start(folder: &str) -> anyhow::Result<(Server, Url)> {
    let prefix = std::env::var("PEER_SERVER_PREFIX").unwrap_or_default();
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut words = prefix.split_whitespace().chain([own.as_str(), folder, "serve"]);
    let mut command = Command::new(words.next().context("a program")?);
    let mut server = Server(command.args(words).stdout(Stdio::piped()).spawn()?);
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().context("a pipe")?).read_line(&mut address)?;
    Ok((server, format!("tcp://{}", address.trim()).parse()?))
}

fn content(document: &Automerge) -> anyhow::Result<Vec<String>> {
    let Some((_, list)) = document.get(ROOT, "messages")? else { return Ok(Vec::new()) };
    let item = |at| Ok(document.get(&list, at)?.context("an item")?.0.as_str().context("a string")?.to_owned());
    (0..document.length(&list)).map(item).collect()
}

fn length(document: &Automerge) -> usize {
    document.get(ROOT, "messages").ok().flatten().map_or(0, |(_, list)| document.length(&list))
}

fn hash(bodies: &[String]) -> String {
    let mut hasher = Sha256::new();
    for body in bodies {
        hasher.update(body);
        hasher.update("\n");
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn converge(folder: &str, messages: usize) -> anyhow::Result<()> {
    let bodies: Vec<String> = (0..messages).map(|number| format!("{:x<80}", format!("message {number} "))).collect();
    let (_server, url) = start(folder)?;
    let mut repos = Vec::new();
    for _ in 0..=READERS {
        let repo = Repo::build_tokio().load().await;
        repo.dial_tcp(url.clone(), BackoffConfig::default())?.established().await?;
        repos.push(repo);
    }
    let mut document = Automerge::new();
    let list = document
        .transact(|transaction| transaction.put_object(ROOT, "messages", ObjType::List))
        .map_err(|failure| failure.error)?
        .result;
    let writer = repos[0].create(document).await?;
    let mut readers: Vec<DocHandle> = Vec::new();
    for repo in &repos[1..] {
        // The hub may not have the document yet.
        let found = loop {
            if let Some(found) = repo.find(writer.document_id().clone()).await? {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        readers.push(found);
    }
    let arrived: Vec<_> = readers
        .iter()
        .cloned()
        .map(|reader| {
            tokio::spawn(async move {
                let mut changes = Box::pin(reader.changes());
                while reader.with_document(|document| length(document)) < messages {
                    changes.next().await.context("the repo stopped")?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    let begun = Instant::now();
    for (at, body) in bodies.iter().enumerate() {
        let list = &list;
        writer
            .with_document(|document| document.transact(|transaction| transaction.insert(list, at, body.as_str())))
            .map_err(|failure| failure.error)?;
    }
    for task in arrived {
        task.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (expected, mut valid) = (hash(&bodies), true);
    for handle in std::iter::once(&writer).chain(&readers) {
        valid &= handle.with_document(|document| content(document))? == bodies;
    }
    let caveats = [
        "memory ack: the hub writes files without fsync; clients keep nothing on disk",
        "one document holds all messages, as plain strings, written without a pause; plain TCP",
    ];
    let line = serde_json::json!({ "seconds": seconds, "valid": valid, "hash": expected, "version": "samod 0.16.0",
        "caveats": caveats });
    println!("{line}");
    anyhow::ensure!(valid, "the devices differ");
    Ok(())
}
