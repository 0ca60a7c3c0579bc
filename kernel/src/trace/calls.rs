//! The tree of calls of one transaction, and geth's `callTracer` over it.

use std::io::Write as _;

use alloy_primitives::{Address, Bytes, Log, U256};
use revm::interpreter::{InstructionResult, InterpreterResult};

use super::config::CallOptions;
use super::text;
use crate::views::{Object, array, data};

/// What made a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Call,
    CallCode,
    DelegateCall,
    StaticCall,
    Create,
    Create2,
    SelfDestruct,
}

impl Kind {
    /// The opcode's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::CallCode => "CALLCODE",
            Self::DelegateCall => "DELEGATECALL",
            Self::StaticCall => "STATICCALL",
            Self::Create => "CREATE",
            Self::Create2 => "CREATE2",
            Self::SelfDestruct => "SELFDESTRUCT",
        }
    }

    /// The name in Parity's shapes.
    #[must_use]
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::CallCode => "callcode",
            Self::DelegateCall => "delegatecall",
            Self::StaticCall => "staticcall",
            Self::Create => "create",
            Self::Create2 => "create2",
            Self::SelfDestruct => "suicide",
        }
    }

    /// Whether it makes a contract.
    #[must_use]
    pub const fn creates(self) -> bool {
        matches!(self, Self::Create | Self::Create2)
    }
}

/// A log with its place.
#[derive(Debug, Clone)]
pub struct PlacedLog {
    pub log: Log,
    /// Calls of the frame that came before.
    pub position: usize,
    /// Among all logs of the transaction, those of failed frames included.
    pub index: usize,
}

/// One call, creation or self-destruction.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: Kind,
    pub from: Address,
    /// Callee; of a creation, the new contract if it succeeded.
    pub to: Option<Address>,
    /// Wei.
    pub value: U256,
    pub gas: u64,
    pub gas_used: u64,
    pub input: Bytes,
    pub output: Bytes,
    /// geth's text.
    pub error: Option<String>,
    pub is_precompile: bool,
    /// Places in [`Calls::frames`], in order.
    pub calls: Vec<usize>,
    pub logs: Vec<PlacedLog>,
}

impl Frame {
    /// Whether it ended by REVERT.
    #[must_use]
    pub fn reverted(&self) -> bool {
        self.error.as_deref() == Some(text::REVERTED)
    }
}

/// The tree; the first frame is the transaction's.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    pub frames: Vec<Frame>,
    open: Vec<usize>,
    /// The frame that ended last.
    left: Option<usize>,
    logs: usize,
}

impl Calls {
    #[allow(clippy::too_many_arguments)] // a frame has that many
    pub(super) fn enter(
        &mut self,
        kind: Kind,
        from: Address,
        to: Option<Address>,
        value: U256,
        gas: u64,
        input: Bytes,
        is_precompile: bool,
    ) {
        let index = self.frames.len();
        if let Some(parent) = self.open.last().and_then(|parent| self.frames.get_mut(*parent)) {
            parent.calls.push(index);
        }
        self.frames.push(Frame {
            kind,
            from,
            to,
            value,
            gas,
            gas_used: 0,
            input,
            output: Bytes::new(),
            error: None,
            is_precompile,
            calls: Vec::new(),
            logs: Vec::new(),
        });
        self.open.push(index);
    }

    pub(super) fn created(&mut self, address: Option<Address>) {
        if let Some(frame) = self.open.last().and_then(|index| self.frames.get_mut(*index)) {
            frame.to = address;
        }
    }

    pub(super) fn leave(&mut self, result: &InterpreterResult, error: Option<String>) {
        self.left = self.open.pop();
        let Some(frame) = self.left.and_then(|index| self.frames.get_mut(index)) else { return };
        let spent = if result.result.is_ok_or_revert() || result.result == InstructionResult::NonceOverflow {
            result.gas.total_gas_spent()
        } else {
            frame.gas
        };
        frame.gas_used = spent;
        if error.is_none() || result.result == InstructionResult::Revert {
            frame.output = result.output.clone();
        }
        if error.is_some() && frame.kind.creates() {
            frame.to = None;
        }
        frame.error = error;
    }

    /// Show `output` as that of the frame that ended last.
    pub(super) fn show_output(&mut self, output: Bytes) {
        if let Some(frame) = self.left.and_then(|index| self.frames.get_mut(index)) {
            frame.output = output;
        }
    }

    pub(super) fn destroyed(&mut self, contract: Address, heir: Address, balance: U256) {
        self.enter(Kind::SelfDestruct, contract, Some(heir), balance, 0, Bytes::new(), false);
        self.open.pop();
    }

    pub(super) fn log(&mut self, log: Log) {
        let index = self.logs;
        self.logs += 1;
        if let Some(frame) = self.open.last().and_then(|index| self.frames.get_mut(*index)) {
            let position = frame.calls.len();
            frame.logs.push(PlacedLog { log, position, index });
        }
    }

    /// The first frame becomes the whole transaction: its gas limit, and the gas it is charged.
    pub fn set_transaction_gas(&mut self, limit: u64, used: u64) {
        if let Some(root) = self.frames.first_mut() {
            root.gas = limit;
            root.gas_used = used;
        }
    }

    /// geth's `callTracer`.
    pub fn render(&self, options: CallOptions, out: &mut Vec<u8>) {
        match self.frames.first() {
            Some(root) => self.frame(root, options, false, out),
            None => out.extend_from_slice(b"{}"),
        }
    }

    fn frame(&self, frame: &Frame, options: CallOptions, in_failed: bool, out: &mut Vec<u8>) {
        let failed = in_failed || frame.error.is_some();
        Object::write(out, |object| {
            object.data("from", frame.from);
            object.quantity("gas", frame.gas);
            object.quantity("gasUsed", frame.gas_used);
            object.data_if("to", frame.to);
            object.data("input", &frame.input);
            if !frame.output.is_empty() {
                object.data("output", &frame.output);
            }
            if let Some(error) = &frame.error {
                object.value("error", |out| string(out, error));
                if let Some(reason) = frame.reverted().then(|| text::revert_reason(&frame.output)).flatten() {
                    object.value("revertReason", |out| string(out, &reason));
                }
            }
            if !(frame.calls.is_empty() || options.only_top_call) {
                object.array("calls", &frame.calls, |out, index| {
                    self.frame(&self.frames[*index], options, failed, out);
                });
            }
            if options.with_log && !failed && !frame.logs.is_empty() {
                object.array("logs", &frame.logs, log);
            }
            if frame.kind != Kind::StaticCall {
                object.quantity("value", frame.value);
            }
            object.value("type", |out| string(out, frame.kind.name()));
        });
    }
}

fn log(out: &mut Vec<u8>, placed: &PlacedLog) {
    Object::write(out, |object| {
        object.data("address", placed.log.address);
        object.array("topics", placed.log.topics(), |out, topic| data(out, topic.as_slice()));
        object.data("data", &placed.log.data.data);
        object.quantity("position", placed.position);
        object.quantity("index", placed.index);
    });
}

/// Text as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // A string always serialises.
    let _ = serde_json::to_writer(out, text);
}

/// A decimal number.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    // Writing to memory does not fail.
    let _ = write!(out, "{number}");
}

/// An array of decimal numbers.
pub fn decimals(out: &mut Vec<u8>, numbers: &[usize]) {
    array(out, numbers, |out, number| decimal(out, *number as u64));
}
