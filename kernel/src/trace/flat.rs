//! The tree of calls as a list: geth's `flatCallTracer`, and the `trace` of `trace_` methods.

use alloy_primitives::B256;

use super::calls::{Calls, Frame, Kind, decimal, decimals, string};
use super::config::FlatOptions;
use super::text;
use crate::views::{Object, data};

/// Where the transaction stands; absent for calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub block_hash: Option<B256>,
    pub block_number: Option<u64>,
    pub transaction_hash: Option<B256>,
    pub transaction_index: Option<usize>,
}

/// Whose words and whose rule for precompiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Geth(FlatOptions),
    /// `trace_` methods; with the place in each item or without.
    Parity {
        localized: bool,
    },
}

impl Style {
    /// Whether a call inside another one is left out.
    fn hides(self, frame: &Frame) -> bool {
        let plain = matches!(frame.kind, Kind::Call | Kind::StaticCall);
        match self {
            Self::Geth(options) => !options.include_precompiles && plain && frame.is_precompile,
            Self::Parity { .. } => frame.is_precompile && frame.value.is_zero(),
        }
    }

    fn words(self, error: &str) -> &str {
        match self {
            Self::Geth(FlatOptions { convert_parity_errors: false, .. }) => error,
            _ => text::parity(error),
        }
    }
}

/// The list of frames, parents before their calls, as a JSON array.
pub fn render(calls: &Calls, style: Style, place: Place, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut writer = Writer { calls, style, place, is_first: true, address: Vec::new() };
    if let Some(root) = calls.frames.first() {
        writer.frame(root, out);
    }
    out.push(b']');
}

struct Writer<'c> {
    calls: &'c Calls,
    style: Style,
    place: Place,
    is_first: bool,
    address: Vec<usize>,
}

impl Writer<'_> {
    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_first, false) {
            out.push(b',');
        }
        let calls = self.calls;
        let shown: Vec<&Frame> =
            frame.calls.iter().map(|index| &calls.frames[*index]).filter(|call| !self.style.hides(call)).collect();
        self.item(frame, shown.len(), out);
        for (place, call) in shown.into_iter().enumerate() {
            self.address.push(place);
            self.frame(call, out);
            self.address.pop();
        }
    }

    fn item(&self, frame: &Frame, subtraces: usize, out: &mut Vec<u8>) {
        let localized = self.style != Style::Parity { localized: false };
        let parity = matches!(self.style, Style::Parity { .. });
        Object::write(out, |object| {
            object.value("action", |out| action(frame, out));
            if localized {
                object.data_or_null("blockHash", self.place.block_hash);
                if let Some(number) = self.place.block_number {
                    object.value("blockNumber", |out| decimal(out, number));
                }
            }
            if let Some(error) = &frame.error {
                object.value("error", |out| string(out, self.style.words(error)));
                if parity && frame.reverted() && !frame.output.is_empty() {
                    object.data("revertReason", &frame.output);
                }
            }
            if frame.kind == Kind::SelfDestruct {
                object.null("result");
            } else if frame.error.is_none() || (frame.reverted() && !parity) {
                object.value("result", |out| result(frame, out));
            }
            object.value("subtraces", |out| decimal(out, subtraces as u64));
            object.value("traceAddress", |out| decimals(out, &self.address));
            if localized {
                object.data_or_null("transactionHash", self.place.transaction_hash);
                match self.place.transaction_index {
                    Some(index) => object.value("transactionPosition", |out| decimal(out, index as u64)),
                    None if parity => object.null("transactionPosition"),
                    None => {}
                }
            }
            object.value("type", |out| {
                string(
                    out,
                    match frame.kind {
                        Kind::Create | Kind::Create2 => "create",
                        Kind::SelfDestruct => "suicide",
                        _ => "call",
                    },
                );
            });
        });
    }
}

fn action(frame: &Frame, out: &mut Vec<u8>) {
    Object::write(out, |object| match frame.kind {
        Kind::SelfDestruct => {
            object.data("address", frame.from);
            object.quantity("balance", frame.value);
            object.data_if("refundAddress", frame.to);
        }
        Kind::Create | Kind::Create2 => {
            object.value("creationMethod", |out| string(out, frame.kind.lower()));
            object.data("from", frame.from);
            object.quantity("gas", frame.gas);
            object.data("init", &frame.input);
            object.quantity("value", frame.value);
        }
        _ => {
            object.value("callType", |out| string(out, frame.kind.lower()));
            object.data("from", frame.from);
            object.quantity("gas", frame.gas);
            object.data("input", &frame.input);
            object.data_if("to", frame.to);
            object.quantity("value", frame.value);
        }
    });
}

fn result(frame: &Frame, out: &mut Vec<u8>) {
    Object::write(out, |object| {
        object.quantity("gasUsed", frame.gas_used);
        if frame.kind.creates() && frame.error.is_none() {
            object.data_if("address", frame.to);
            object.data("code", &frame.output);
        } else if !frame.kind.creates() {
            object.value("output", |out| data(out, &frame.output));
        }
    });
}
