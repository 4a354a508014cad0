//! One attachment for each coordinator, whichever there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::ActorRef;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use udfleet_edge::tls::Connector;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::Hello;
use udfleet_proto::v1::membership_client::MembershipClient;

use super::report::Reporter;
use super::roster::CoordinatorRoster;
use super::{Attachment, AttachmentIdentity, News, OrderlyStop, channel};
use crate::coordinators::Coordinators;
use crate::node::{Context, NodeMessage};

/// The attachments of this executor.
pub struct AttachmentSet {
    coordinators: Arc<Coordinators>,
    connector: Connector,
    identity: AttachmentIdentity,
    hello: Hello,
    context: Arc<Context>,
    node: ActorRef<NodeMessage>,
}

impl AttachmentSet {
    /// Attaches as `hello` says; desired state goes to `node`, and `coordinators` follows.
    #[must_use]
    pub fn new(
        coordinators: Arc<Coordinators>,
        connector: Connector,
        identity: AttachmentIdentity,
        hello: Hello,
        context: Arc<Context>,
        node: ActorRef<NodeMessage>,
    ) -> Self {
        Self { coordinators, connector, identity, hello, context, node }
    }

    /// Keeps attached to the coordinators at these addresses and to those that they tell of. Says goodbye to each once
    /// `stop.begun`, and ends when each has had a last report once `stop.finished`.
    pub async fn run(self, named: Vec<String>, stop: OrderlyStop) {
        let (sender, mut news) = mpsc::unbounded_channel();
        let mut roster = CoordinatorRoster::new(named);
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
        loop {
            let wanted = roster.wanted();
            running.retain(|address, task| {
                let stays = wanted.contains(address);
                if !stays {
                    roster.left(address);
                    tracing::info!(coordinator = address, "not attached to this address any more");
                    task.abort();
                    self.coordinators.remove(address);
                }
                stays
            });
            for address in wanted.into_iter().filter(|address| !running.contains_key(address)).collect::<Vec<_>>() {
                match self.attachment(&address, sender.clone()) {
                    Ok(attachment) => drop(running.insert(address, tasks.spawn(attachment.run(stop.clone())))),
                    Err(error) => tracing::warn!(coordinator = address, "a coordinator can't be attached to: {error}"),
                }
            }
            tokio::select! {
                Some((address, news)) = news.recv() => match news {
                    News::Welcomed { id, coordinators } => roster.welcomed(&address, &id, coordinators),
                    News::Coordinators(all) => roster.tells(&address, all),
                    News::Leads => self.coordinators.prefer(&address),
                    News::Ended => roster.ended(&address),
                },
                // Attachments end by themselves only when the executor stops.
                () = stop.begun.cancelled() => break,
            }
        }
        drop(sender);
        while tasks.join_next().await.is_some() {}
    }

    fn attachment(
        &self,
        address: &str,
        news: mpsc::UnboundedSender<(String, News)>,
    ) -> Result<Attachment, udfleet_proto::error::Error> {
        let channel = channel(&self.connector, address)?;
        self.coordinators.add(address, &channel);
        let client = MembershipClient::with_interceptor(channel.clone(), self.identity.bearer.clone());
        let client = client.max_decoding_message_size(MAX_CONTROL_BYTES).max_encoding_message_size(MAX_CONTROL_BYTES);
        Ok(Attachment {
            address: address.to_owned(),
            channel,
            identity: self.identity.clone(),
            client,
            hello: self.hello.clone(),
            context: Arc::clone(&self.context),
            node: self.node.clone(),
            reporter: Reporter::new(Arc::clone(&self.context)),
            news,
        })
    }
}
