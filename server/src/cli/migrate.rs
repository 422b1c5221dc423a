//! `lockstep migrate`: chat exports from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lockstep_migrate::inspect::Summary;
use lockstep_migrate::ledger::Ledger;
use lockstep_migrate::plan::{self, Plan, PlanError, PlanOptions, SystemLines};
use lockstep_migrate::source::{self, MediaReading, Source, SourceError};
use lockstep_migrate::whatsapp::{self, DateOrder, ReadOptions, Reading};
use lockstep_protocol::codec;
use lockstep_protocol::id::{ConversationId, MemberId, MessageId};
use serde::Serialize;

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Failure, Hex, ImportReport, Request};
use crate::entropy;

#[derive(Debug, Subcommand)]
pub(super) enum MigrateVerb {
    /// Say what an import of a file would do, without doing it
    Inspect(Export),
    /// Import a file into the running hub; a rerun adds nothing that is there
    Import(Import),
    /// Take an import back out
    Undo {
        /// The conversation, as the import printed it
        conversation: String,
        /// The import, as the import printed it
        import: String,
    },
}

/// An export, and how to read it.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A WhatsApp export: "WhatsApp Chat with ….txt", or the .zip that holds it
    file: PathBuf,
    /// Order of the dates, where the file leaves it open
    #[arg(long, value_parser = date_order, value_name = "dmy|mdy|ymd")]
    date_order: Option<DateOrder>,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    export: Export,
    /// Time zone of the phone, as Asia/Bangkok; this machine's otherwise
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A sender who is a member, as "Nok=2"; may be given several times
    #[arg(long = "member", value_parser = member, value_name = "NAME=NUMBER")]
    members: Vec<(String, MemberId)>,
    /// The customer's shown name; that in the file's name otherwise
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// A sender who is the customer, where none is named like them; may be given several times
    #[arg(long = "customer-sender", value_name = "NAME")]
    customer_senders: Vec<String>,
    /// Member who stands for senders that nobody named
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    importer: u32,
    /// Import into this conversation instead of one of its own
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Members who are assigned to a new conversation
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    assign: Vec<u32>,
    /// Leave out the app's own lines
    #[arg(long)]
    skip_system: bool,
}

fn date_order(text: &str) -> Result<DateOrder, String> {
    DateOrder::parse(text).ok_or_else(|| "one of dmy, mdy, ymd".into())
}

fn member(text: &str) -> Result<(String, MemberId), String> {
    let (name, number) = text.rsplit_once('=').ok_or("a sender is given as NAME=NUMBER")?;
    let number = number.trim().parse().map_err(|_| "a staff number stands behind the =")?;
    Ok((name.trim().to_owned(), MemberId(number)))
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Printed<'a> {
    Inspection {
        summary: &'a Summary,
    },
    Import {
        conversation: String,
        import: String,
        customer: &'a str,
        ledger: Ledger,
        report: &'a ImportReport,
        rejects: usize,
    },
}

pub(super) fn run(options: &Options, verb: MigrateVerb) -> Result<(), Failed> {
    match verb {
        MigrateVerb::Inspect(export) => {
            let (source, reading) = read(&export)?;
            let summary = Summary::new(&source, &reading);
            match options.json {
                true => output::json(&Printed::Inspection { summary: &summary }),
                false => output::line(summary.to_string().trim_end()),
            }
        }
        MigrateVerb::Import(import) => import_file(options, &import),
        MigrateVerb::Undo { conversation, import } => {
            let usage = |what| Failed::new(Exit::Usage, "usage", what);
            let request = Request::ImportUndo {
                conversation: conversation.parse().map_err(usage)?,
                import: import.parse().map_err(usage)?,
            };
            let folder = options.config()?.folder;
            let answer = block_on(async { AdminClient::connect(&folder).await?.ask(&request).await })?;
            if options.json { output::json(&answer) } else { super::manage::print(&answer, false) }
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, crate::admin::Failure>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}

fn read(export: &Export) -> Result<(Source, Reading), Failed> {
    let source = Source::open(&export.file, MediaReading::Hash)?;
    let options = ReadOptions { date_order: export.date_order, ..ReadOptions::default() };
    let reading = whatsapp::read(&source.text, &source.files, &options);
    Ok((source, reading))
}

/// The secret from which imported ids are derived: the hub keeps it, made once, with its other keys.
///
/// # Errors
/// If there is no running hub, or its key cannot be read or written.
pub(crate) async fn import_key(folder: &Path) -> Result<[u8; 32], Failure> {
    let unexpected = |text: String| Failure::new("unexpected", text);
    match AdminClient::connect(folder).await?.ask(&Request::ImportKey).await? {
        Answer::ImportKey { key } => {
            let mut secret = [0; 32];
            let read = hex::decode_to_slice(&key, &mut secret).map(|()| secret);
            read.map_err(|_| unexpected("the hub's answer is no key".into()))
        }
        other => Err(unexpected(format!("{other:?}"))),
    }
}

fn import_file(options: &Options, import: &Import) -> Result<(), Failed> {
    let folder = options.config()?.folder;
    let (source, reading) = read(&import.export)?;
    let zone = source::time_zone(import.time_zone.as_deref())
        .map_err(|error| Failed::new(Exit::Usage, "time_zone", error.to_string()))?;
    let mut choices = PlanOptions::new(block_on(import_key(&folder))?, zone, MemberId(import.importer));
    choices.members = import.members.iter().cloned().collect::<BTreeMap<_, _>>();
    choices.customer.clone_from(&import.customer);
    choices.customer_senders = import.customer_senders.iter().cloned().collect::<BTreeSet<_>>();
    choices.system_lines = if import.skip_system { SystemLines::Skip } else { SystemLines::Note };
    if let Some(conversation) = &import.conversation {
        let id: Hex<ConversationId> =
            conversation.parse().map_err(|what: String| Failed::new(Exit::Usage, "usage", what))?;
        choices.conversation = Some(id.0);
    }
    let plan = plan::plan(&reading, &source.names, &choices)?;
    let run = hex::encode(entropy::fresh::<16>());
    let mut report = block_on(hand_over(&folder, &plan, &run, &import.assign, !options.json))?;
    let known = std::mem::take(&mut report.known_messages);
    let known: BTreeSet<MessageId> = known.iter().filter_map(|id| MessageId::parse(id)).collect();
    let (_, ledger) = plan.fresh(&known);
    let rejects = plan.rejects.len();
    if options.json {
        return output::json(&Printed::Import {
            conversation: plan.conversation.to_string(),
            import: run,
            customer: &plan.customer,
            ledger,
            report: &report,
            rejects,
        });
    }
    output::line(&format!("conversation  {}  {}", plan.conversation, plan.customer))?;
    output::line(&format!("import        {run}"))?;
    output::line(ledger.to_string().trim_end())?;
    for reject in &plan.rejects {
        output::line(&reject.to_string())?;
    }
    output::line(&format!(
        "{} kept in {} segments, {} there before, {} refused by the hub",
        report.kept,
        report.segments,
        report.known,
        report.refused.values().sum::<u64>()
    ))?;
    report.refused.iter().try_for_each(|(code, count)| output::line(&format!("  {count}  {code}")))
}

/// Sends a plan's facts to the hub, in order, a segment's worth at a time: that bounds a request in bytes.
async fn hand_over(
    folder: &Path,
    plan: &Plan,
    run: &str,
    assigned: &[u32],
    progress: bool,
) -> Result<ImportReport, crate::admin::Failure> {
    let mut client = AdminClient::connect(folder).await?;
    let mut report = ImportReport::default();
    let mut done = 0;
    for facts in plan::segments(&plan.facts) {
        let request = Request::Import {
            conversation: Hex(plan.conversation),
            customer: plan.customer.clone(),
            assigned: assigned.to_vec(),
            import: run.parse().map_err(|what: String| crate::admin::Failure::new("malformed", what))?,
            facts: hex::encode(codec::encode(&facts.to_vec())),
        };
        if let Answer::Imported { report: part } = client.ask(&request).await? {
            report.add(part);
        }
        done += facts.len();
        if progress && done < plan.facts.len() {
            eprintln!("{done} of {} …", plan.facts.len());
        }
    }
    Ok(report)
}

impl From<SourceError> for Failed {
    fn from(error: SourceError) -> Self {
        Self::new(Exit::Data, "source", error.to_string())
    }
}

impl From<PlanError> for Failed {
    fn from(error: PlanError) -> Self {
        let how = match &error {
            PlanError::DateOrderUndecided { .. } => "; add --date-order",
            PlanError::CustomerUnnamed => "; add --customer NAME",
            PlanError::CustomerUnknown { .. } => "; add --customer-sender NAME, or --member NAME=NUMBER for all others",
            PlanError::NoMessages | PlanError::SenderUnknown { .. } | PlanError::SenderTwice { .. } => "",
        };
        let mut message = format!("{error}{how}");
        if let PlanError::CustomerUnknown { senders } = &error {
            message.push_str(&format!("\n  senders: {}", senders.join(", ")));
        }
        Self::new(Exit::Data, "plan", message)
    }
}
