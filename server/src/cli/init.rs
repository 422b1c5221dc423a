//! `lockstep init`: a new hub's folder, its first owner, and what to do next.

use clap::Args;

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Failure, Request, RoleName};
use crate::server::Server;

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Shown name of the first owner
    #[arg(long)]
    owner: String,
}

/// Starts the hub once, on a free port of this machine alone, adds the owner, and stops it again.
pub(super) fn run(options: &Options, init: Init) -> Result<(), Failed> {
    let mut config = options.config()?;
    if config.folder.join("store").exists() {
        let text = format!("{} holds a hub already; `lockstep serve` runs it", config.folder.display());
        return Err(Failed::new(Exit::Usage, "exists", text));
    }
    let names = crate::names::reachable(&config.listen.names, config.listen.address);
    config.listen.names = names;
    config.listen.address = ([127, 0, 0, 1], 0).into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    crate::core_dumps::forbid();
    let (answer, keys) = runtime.block_on(async {
        let server = Server::start(&config).await?;
        let request = Request::MemberAdd { id: Some(1), name: init.owner, role: RoleName::Owner };
        let asked = async {
            let mut client = AdminClient::connect(&config.folder).await?;
            Ok::<_, Failure>((client.ask(&request).await?, client.ask(&Request::KeyStatus).await?))
        };
        let asked = asked.await;
        server.stop().await?;
        Ok::<(Answer, Answer), Failed>(asked?)
    })?;
    let Answer::Keys(keys) = keys else {
        return Err(Failed::new(Exit::Internal, "unexpected", format!("{keys:?}")));
    };
    let warning = format!(
        "The root key comes from {}. Without it nothing in the hub's folder can be read, by you neither. Keep a copy of it \
         now, apart from every backup of the folder: who has both can read everything.",
        keys.root
    );
    if options.json {
        eprintln!("lockstep: {warning}");
        return output::json(&answer);
    }
    let folder = config.folder.display();
    output::line(&format!(
        "The hub's folder is {folder}, its owner is member 1.\n\n{warning}\n\nNext:\n  lockstep serve --folder {folder}\n  \
         lockstep pair 1 --folder {folder}     (in another terminal: a link for the owner's first device)"
    ))
}
