//! What changes in a running relay, piece by piece. Every socket in it is open, so carrying it out cannot be refused.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lanecast_relay_core::Rate;

use crate::answering::Answering;
use crate::channel::Channel;
use crate::delivery::Delivery;
use crate::input::Input;

/// By feed and subscriber.
pub(crate) type Rates = BTreeMap<String, BTreeMap<String, Rate>>;

/// The first number is the channel's id, or the socket's token.
pub(crate) enum Step {
    AddChannel(u64, Box<Channel>),
    /// Its inputs were removed before.
    RemoveChannel(u64),
    /// With the line's name.
    AddInput(u64, String, Box<Input>),
    RemoveInput(u64),
    SetSources(u64, Vec<Ipv4Addr>),
    AddAnswering(u64, Box<Answering>),
    RemoveAnswering(u64),
    SetAnswerRate(u64, u64),
    /// Settings of a channel that need no socket.
    Alter(u64, Box<dyn FnOnce(&mut Channel) + Send>),
    AddDelivery(u64, Box<Delivery>),
    RemoveDelivery(u64, String),
    SetLimits(Rates),
    /// Everybody's names, in the order in which they are told.
    SetSubscribers(Vec<String>),
}
