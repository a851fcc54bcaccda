//! Whether the engine's tables agree with each other. Tests ask after every step; the running engine never does.

use std::fmt::Debug;

use super::Engine;
use super::channel_table::ChannelRole;
use crate::forward::publication::Origin;

impl Engine {
    /// Walks all references between the tables, from both ends.
    ///
    /// # Errors
    /// The first disagreement, as a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_sessions()?;
        self.check_publications()?;
        self.check_encodings()?;
        self.check_streams()?;
        self.check_channels()?;
        agree(
            "nothing waits within a step",
            self.switched.iter().copied(),
            [],
        )
    }

    fn check_sessions(&self) -> Result<(), String> {
        let sessions = || self.sessions.iter();
        agree(
            "sessions are found by ID",
            self.by_id.iter().map(|(id, &key)| (id.clone(), key)),
            sessions().map(|(key, session)| (session.id.clone(), key)),
        )?;
        agree(
            "sessions are found by ufrag",
            self.by_ufrag.iter().map(|(name, &key)| (name.clone(), key)),
            sessions().filter_map(|(key, session)| {
                let transport = session.transport.as_ref()?;
                Some((transport.settings().local.ufrag.clone(), key))
            }),
        )?;
        // A session keeps an address that another session of the same peer has taken over.
        let stray = self.by_address.iter().find(|(address, key)| {
            let session = self.sessions.get(**key);
            !session.is_some_and(|session| session.addresses.contains(**address))
        });
        stray.map_or(Ok(()), |(address, key)| {
            Err(format!(
                "{address:?} leads to {key:?}, which does not have it"
            ))
        })
    }

    fn check_publications(&self) -> Result<(), String> {
        let publications = || self.publications.iter();
        agree(
            "a session has the publications that come from it",
            self.sessions
                .iter()
                .flat_map(|(key, session)| session.publications.iter().map(move |&p| (key, p))),
            publications().filter_map(|(key, publication)| Some((publication.session()?, key))),
        )?;
        agree(
            "mirrors are found by name",
            self.mirrors
                .iter()
                .map(|(name, &key)| (format!("{name:?}"), key)),
            publications().filter_map(|(key, publication)| match &publication.origin {
                Origin::Worker(mirror) => Some((format!("{:?}", mirror.name), key)),
                Origin::Peer(_) => None,
            }),
        )?;
        agree(
            "a publication has the encodings that are of it",
            publications().flat_map(|(key, one)| one.encodings.iter().map(move |&e| (key, e))),
            self.encodings
                .iter()
                .map(|(key, one)| (one.publication, key)),
        )?;
        agree(
            "a publication has the subscriptions to it",
            publications().flat_map(|(key, one)| one.subscriptions.iter().map(move |&s| (key, s))),
            self.subscriptions
                .iter()
                .filter_map(|(key, one)| Some((one.publication?, key))),
        )?;
        agree(
            "a session has the subscriptions that are its",
            self.sessions
                .iter()
                .flat_map(|(key, session)| session.subscriptions.iter().map(move |&s| (key, s))),
            self.subscriptions
                .iter()
                .map(|(key, one)| (one.session, key)),
        )
    }

    fn check_encodings(&self) -> Result<(), String> {
        agree(
            "an encoding has the subscriptions that get it or aim at it",
            self.encodings
                .iter()
                .flat_map(|(key, one)| one.subscriptions.iter().map(move |&s| (key, s))),
            self.subscriptions.iter().flat_map(|(key, one)| {
                let target = one.target.filter(|_| one.target != one.current());
                [one.current(), target]
                    .into_iter()
                    .flatten()
                    .map(move |encoding| (encoding, key))
            }),
        )?;
        let astray = self.subscriptions.iter().find(|&(key, one)| {
            let target = one.target.and_then(|key| self.encodings.get(key));
            // The old source goes on until another worker has said what the new one has.
            target.is_some_and(|target| Some(target.publication) != one.publication)
                && !self.awaits_description(key)
        });
        if let Some((key, _)) = astray {
            return Err(format!(
                "{key:?} aims at an encoding of another publication"
            ));
        }
        let unwatched = self.encodings.iter().find(|(_, one)| {
            let mirrors = &self.publications[one.publication].mirrors;
            let watches = |worker: &u16| mirrors.iter().any(|(mirror, _)| mirror == worker);
            !one.watching.iter().all(watches)
        });
        unwatched.map_or(Ok(()), |(key, _)| {
            Err(format!(
                "{key:?} is watched by a worker without a mirror of it"
            ))
        })
    }

    fn check_streams(&self) -> Result<(), String> {
        for (key, session) in &self.sessions {
            agree(
                "a session's outgoing streams are those of its subscriptions",
                session
                    .outgoing
                    .iter()
                    .map(|(&ssrc, &subscription)| (ssrc, subscription)),
                session.subscriptions.iter().flat_map(|&subscription| {
                    let settings = &self.subscriptions[subscription].settings;
                    let ssrcs = [Some(settings.ssrc), settings.rtx_ssrc];
                    ssrcs
                        .into_iter()
                        .flatten()
                        .map(move |ssrc| (ssrc, subscription))
                }),
            )?;
            let strange = session.incoming.iter().find(|(_, stream)| {
                let encoding = self.encodings.get(stream.encoding);
                !encoding.is_some_and(|encoding| {
                    self.publications[encoding.publication].session() == Some(key)
                })
            });
            if let Some((ssrc, stream)) = strange {
                let encoding = stream.encoding;
                return Err(format!(
                    "SSRC {ssrc} of {key:?} leads to {encoding:?}, not its own"
                ));
            }
            let learned = session.incoming.values().filter(|stream| stream.is_learned);
            if learned.count() != session.learned {
                return Err(format!(
                    "{key:?} has another number of learned streams than it says"
                ));
            }
        }
        Ok(())
    }

    fn check_channels(&self) -> Result<(), String> {
        let own = || {
            self.channels
                .iter()
                .filter(|(_, one)| one.mirrored.is_none())
        };
        agree(
            "a session has the channels that are its",
            self.sessions
                .iter()
                .flat_map(|(key, session)| session.channels.iter().map(move |&c| (key, c))),
            own().map(|(key, channel)| (channel.session, key)),
        )?;
        agree(
            "a channel has the subscriptions to it",
            self.channels
                .iter()
                .flat_map(|(key, one)| one.subscriptions.iter().map(move |&s| (key, s))),
            self.channels
                .iter()
                .filter_map(|(key, one)| Some((one.publication?, key))),
        )?;
        agree(
            "channels of other workers are found by name",
            self.channel_mirrors
                .iter()
                .map(|(name, &key)| (format!("{name:?}"), key)),
            self.channels
                .iter()
                .filter_map(|(key, one)| Some((format!("{:?}", one.mirrored.as_ref()?), key))),
        )?;
        let wrong = self.channels.iter().find(|(_, one)| {
            one.publication.is_some()
                && !matches!(one.settings.role, ChannelRole::Subscription { .. })
        });
        if let Some((key, _)) = wrong {
            return Err(format!(
                "{key:?} receives a publication and is no subscription"
            ));
        }
        for (key, session) in &self.sessions {
            let mut ours = session.streams.values().chain(&session.pending);
            if let Some(stray) = ours.find(|channel| !session.channels.contains(channel)) {
                return Err(format!("{key:?} leads to {stray:?}, which is not its own"));
            }
        }
        Ok(())
    }
}

/// Both lists have the same elements, each once.
fn agree<T: Ord + Debug>(
    rule: &str,
    one: impl IntoIterator<Item = T>,
    other: impl IntoIterator<Item = T>,
) -> Result<(), String> {
    let sorted = |list: &mut dyn Iterator<Item = T>| {
        let mut list: Vec<T> = list.collect();
        list.sort();
        list
    };
    let one = sorted(&mut one.into_iter());
    let other = sorted(&mut other.into_iter());
    if let Some(twice) = one.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{rule}, but {:?} is there twice", twice[0]));
    }
    if one != other {
        return Err(format!("{rule}, but {one:?} is not {other:?}"));
    }
    Ok(())
}
