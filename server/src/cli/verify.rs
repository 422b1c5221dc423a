//! `lockstep verify`: reads everything that a hub holds, running or not, and names what is damaged.

use super::exit::{Exit, Failed};
use super::{Options, audit, output};
use crate::admin::{AdminClient, Answer, Request};
use crate::config::Config;
use crate::server::ServerError;
use crate::verify::{self, VerifyReport};

pub(super) fn run(options: &Options) -> Result<(), Failed> {
    let report = report(&options.config()?, !options.json)?;
    let damaged = report.damaged;
    match options.json {
        true => output::json(&Answer::Verified(report))?,
        false => print(&report)?,
    }
    let text = format!("{damaged} rows are damaged or missing; see above. Restore from a backup");
    if damaged == 0 { Ok(()) } else { Err(Failed::new(Exit::Io, "damaged", text)) }
}

fn report(config: &Config, progress: bool) -> Result<VerifyReport, Failed> {
    if let Some((instance, store)) = audit::stopped(config)? {
        let key = instance.hub_key(store.keychain()).map_err(ServerError::Instance)?;
        let mut tell = |rows: u64| {
            if progress {
                eprintln!("{rows} rows …");
            }
        };
        return Ok(verify::verify(&store, &key, &mut tell).map_err(ServerError::Store)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = AdminClient::connect(&config.folder).await?;
        if progress {
            eprintln!("the running hub reads everything that it holds; its log says how far it is");
        }
        match client.ask(&Request::Verify).await? {
            Answer::Verified(report) => Ok(report),
            _ => Err(Failed::new(Exit::Internal, "unexpected", "the hub's answer is of another kind")),
        }
    })
}

/// Prints what was found for people.
pub(super) fn print(report: &VerifyReport) -> Result<(), Failed> {
    for damage in &report.damage {
        output::line(&format!("{}, key {}: {}", damage.family, damage.key, damage.what))?;
    }
    let unnamed = report.damaged - report.damage.len() as u64;
    if unnamed > 0 {
        output::line(&format!("… and {unnamed} more"))?;
    }
    let VerifyReport { rows, entries, audit_rows, erased, shredded, damaged, .. } = report;
    output::line(&format!(
        "{rows} rows read, {damaged} damaged, {shredded} shredded; proven in their chains: {entries} entries of the log, \
         {audit_rows} rows of the audit log; {erased} entries of the log were erased and are proven by none"
    ))
}
