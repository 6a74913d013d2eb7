//! The program that the kernel runs on a relay's datagrams: it takes a datagram, or a whole segmented run, that was sent
//! once, and sends a clone of it to every subscriber of the group.
//!
//! It sits at the egress of the loopback interface (tcx). The relay sends to [`GROUP_ADDRESS`] from a port that is the
//! group's own; the program finds the group by the ports, rewrites link-layer and IP addresses and ports for each member,
//! and lets clones of it out of the members' interfaces; the last member gets the original. A clone that an interface does
//! not take is counted; what becomes of the original is decided after the program has ended, so that it cannot be: a copy
//! more for the last one would be the price. Whatever is no group's passes untouched. The instruction set is RFC 9669's; helpers are those of bpf-helpers(7).

use std::net::Ipv4Addr;

/// Where the relay sends what the program shall fan out. Nobody needs to listen there.
pub(crate) const GROUP_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Members of a group: the program's loop has to have a bound.
pub(crate) const MEMBERS: usize = 256;

/// A group as the map holds it: how many members, how many clones failed, then the members.
pub(crate) const GROUP_HEADER_BYTES: usize = 16;
pub(crate) const MEMBER_BYTES: usize = 40;
pub(crate) const GROUP_BYTES: usize = GROUP_HEADER_BYTES + MEMBERS * MEMBER_BYTES;

/// Where things lie in a member.
const LINK_AT: i16 = 0;
const NETWORK_AT: i16 = 12;
const ADDRESS_DIFFERENCE_AT: i16 = 24;
const PORT_DIFFERENCE_AT: i16 = 28;
const INTERFACE_AT: i16 = 32;

/// Where things lie in the frame: Ethernet, IPv4 without options (RFC 791), UDP (RFC 768).
const ETHER_TYPE: i16 = 12;
const VERSION: i16 = 14;
const IP_PROTOCOL: i16 = 23;
const IP_CHECKSUM: i32 = 24;
const IP_SOURCE: i32 = 26;
const IP_DESTINATION: i16 = 30;
const PORTS: i16 = 34;
const UDP_CHECKSUM: i32 = 40;
const HEADERS_BYTES: i32 = 42;
const LINK_BYTES: i32 = 12;
const NETWORK_BYTES: i32 = 12;

/// include/uapi/linux/bpf.h: offsets in `struct __sk_buff`.
const SKB_DATA: i16 = 76;
const SKB_DATA_END: i16 = 80;

/// bpf-helpers(7), by their numbers in include/uapi/linux/bpf.h.
const MAP_LOOKUP_ELEMENT: i32 = 1;
const SKB_STORE_BYTES: i32 = 9;
const L3_CHECKSUM_REPLACE: i32 = 10;
const L4_CHECKSUM_REPLACE: i32 = 11;
const CLONE_REDIRECT: i32 = 13;
const REDIRECT: i32 = 23;

/// Flags of `bpf_l4_csum_replace`: the change is one of the pseudo header; a checksum of 0 means none and stays.
const PSEUDO_HEADER: i32 = 0x10;
const MANGLED_0: i32 = 0x20;

/// What a tcx program may return: go on to the next program, or to the interface.
const NEXT: i32 = -1;

/// Registers: 6 the frame's context, 7 the group, 8 the member's number, 9 the member; 1 to 5 are arguments.
const CONTEXT: u8 = 6;
const GROUP: u8 = 7;
const INDEX: u8 = 8;
const MEMBER: u8 = 9;
const FRAME_POINTER: u8 = 10;

/// One instruction: opcode, registers, offset, immediate.
#[derive(Clone, Copy)]
struct Instruction {
    opcode: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: i32,
}

/// A place in the program that jumps lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Loop,
    Next,
    Last,
    Pass,
}

/// Instructions and jumps whose distance is not known yet.
#[derive(Default)]
struct Assembler {
    instructions: Vec<Instruction>,
    labels: Vec<(Label, usize)>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn emit(&mut self, opcode: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        self.instructions.push(Instruction {
            opcode,
            to,
            from,
            offset,
            immediate,
        });
    }

    fn load_byte(&mut self, to: u8, from: u8, offset: i16) {
        self.emit(0x71, to, from, offset, 0);
    }

    fn load_half(&mut self, to: u8, from: u8, offset: i16) {
        self.emit(0x69, to, from, offset, 0);
    }

    fn load_word(&mut self, to: u8, from: u8, offset: i16) {
        self.emit(0x61, to, from, offset, 0);
    }

    fn store_word(&mut self, to: u8, offset: i16, from: u8) {
        self.emit(0x63, to, from, offset, 0);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.emit(0xBF, to, from, 0, 0);
    }

    fn set(&mut self, to: u8, value: i32) {
        self.emit(0xB7, to, 0, 0, value);
    }

    fn add(&mut self, to: u8, value: i32) {
        self.emit(0x07, to, 0, 0, value);
    }

    fn add_register(&mut self, to: u8, from: u8) {
        self.emit(0x0F, to, from, 0, 0);
    }

    fn multiply(&mut self, to: u8, value: i32) {
        self.emit(0x27, to, 0, 0, value);
    }

    /// Add to the 64 bits in memory, atomically.
    fn atomic_add(&mut self, to: u8, offset: i16, from: u8) {
        self.emit(0xDB, to, from, offset, 0);
    }

    fn call(&mut self, helper: i32) {
        self.emit(0x85, 0, 0, 0, helper);
    }

    fn exit(&mut self) {
        self.emit(0x95, 0, 0, 0, 0);
    }

    /// The map behind a descriptor (BPF_PSEUDO_MAP_FD); two instructions long.
    fn load_map(&mut self, to: u8, map: i32) {
        self.emit(0x18, to, 1, 0, map);
        self.emit(0, 0, 0, 0, 0);
    }

    fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x05, 0, 0, 0, 0);
    }

    fn jump_unless_equal(&mut self, register: u8, value: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x55, register, 0, 0, value);
    }

    fn jump_if_equal(&mut self, register: u8, value: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x15, register, 0, 0, value);
    }

    fn jump_if_at_least(&mut self, register: u8, value: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x35, register, 0, 0, value);
    }

    fn jump_if_at_least_register(&mut self, register: u8, other: u8, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x3D, register, other, 0, 0);
    }

    fn jump_if_above_register(&mut self, register: u8, other: u8, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(0x2D, register, other, 0, 0);
    }

    fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Resolve the jumps and write each instruction as the eight bytes of `struct bpf_insn`.
    fn finish(mut self) -> Vec<u64> {
        for (at, label) in &self.jumps {
            let target = self.labels.iter().find(|(known, _)| known == label);
            let distance = target.map_or(0, |(_, to)| *to as i64 - *at as i64 - 1);
            if let Some(jump) = self.instructions.get_mut(*at) {
                jump.offset = distance as i16;
            }
        }
        self.instructions.iter().map(Instruction::encoded).collect()
    }
}

impl Instruction {
    fn encoded(&self) -> u64 {
        let registers = self.from << 4 | self.to;
        let [low, high] = self.offset.to_ne_bytes();
        let [a, b, c, d] = self.immediate.to_ne_bytes();
        u64::from_ne_bytes([self.opcode, registers, low, high, a, b, c, d])
    }
}

/// The program, for the map of groups behind descriptor `map`.
pub(crate) fn program(map: i32) -> Vec<u64> {
    let mut code = Assembler::default();
    find_group(&mut code, map);
    code.set(INDEX, 0);
    code.label(Label::Loop);
    // The verifier wants a bound that it can see, the group says how many there are.
    code.jump_if_at_least(INDEX, MEMBERS as i32, Label::Pass);
    code.load_word(1, GROUP, 0);
    code.jump_if_at_least_register(INDEX, 1, Label::Pass);
    code.copy(MEMBER, INDEX);
    code.multiply(MEMBER, MEMBER_BYTES as i32);
    code.add_register(MEMBER, GROUP);
    code.add(MEMBER, GROUP_HEADER_BYTES as i32);
    readdress(&mut code);
    code.add(INDEX, 1);
    code.load_word(1, GROUP, 0);
    code.jump_if_at_least_register(INDEX, 1, Label::Last);
    code.copy(1, CONTEXT);
    code.load_word(2, MEMBER, INTERFACE_AT);
    code.set(3, 0);
    code.call(CLONE_REDIRECT);
    code.jump_if_equal(0, 0, Label::Next);
    code.set(1, 1);
    code.atomic_add(GROUP, 8, 1);
    code.label(Label::Next);
    code.jump(Label::Loop);
    code.label(Label::Last);
    code.load_word(1, MEMBER, INTERFACE_AT);
    code.set(2, 0);
    code.call(REDIRECT);
    code.exit();
    code.label(Label::Pass);
    code.set(0, NEXT);
    code.exit();
    code.finish()
}

/// Leave the group of the frame in its register, or pass.
fn find_group(code: &mut Assembler, map: i32) {
    let address = i32::from_ne_bytes(GROUP_ADDRESS.octets());
    code.copy(CONTEXT, 1);
    code.load_word(2, CONTEXT, SKB_DATA);
    code.load_word(3, CONTEXT, SKB_DATA_END);
    code.copy(4, 2);
    code.add(4, HEADERS_BYTES);
    code.jump_if_above_register(4, 3, Label::Pass);
    code.load_half(5, 2, ETHER_TYPE);
    code.jump_unless_equal(5, i32::from(0x0800u16.to_be()), Label::Pass);
    code.load_byte(5, 2, VERSION);
    code.jump_unless_equal(5, 0x45, Label::Pass);
    code.load_byte(5, 2, IP_PROTOCOL);
    code.jump_unless_equal(5, libc::IPPROTO_UDP, Label::Pass);
    code.load_word(5, 2, IP_DESTINATION);
    code.jump_unless_equal(5, address, Label::Pass);
    code.load_word(5, 2, PORTS);
    code.store_word(FRAME_POINTER, -4, 5);
    code.load_map(1, map);
    code.copy(2, FRAME_POINTER);
    code.add(2, -4);
    code.call(MAP_LOOKUP_ELEMENT);
    code.jump_if_equal(0, 0, Label::Pass);
    code.copy(GROUP, 0);
}

/// Write the member's addresses and ports into the frame, and mend the checksums by the prepared differences.
fn readdress(code: &mut Assembler) {
    let checksums = [
        (L3_CHECKSUM_REPLACE, IP_CHECKSUM, ADDRESS_DIFFERENCE_AT, 0),
        (
            L4_CHECKSUM_REPLACE,
            UDP_CHECKSUM,
            ADDRESS_DIFFERENCE_AT,
            PSEUDO_HEADER | MANGLED_0,
        ),
        (
            L4_CHECKSUM_REPLACE,
            UDP_CHECKSUM,
            PORT_DIFFERENCE_AT,
            MANGLED_0,
        ),
    ];
    for (helper, at, difference_at, flags) in checksums {
        code.copy(1, CONTEXT);
        code.set(2, at);
        code.set(3, 0);
        code.load_word(4, MEMBER, difference_at);
        code.set(5, flags);
        code.call(helper);
    }
    let parts = [
        (0, LINK_AT, LINK_BYTES),
        (IP_SOURCE, NETWORK_AT, NETWORK_BYTES),
    ];
    for (at, from, bytes) in parts {
        code.copy(1, CONTEXT);
        code.set(2, at);
        code.copy(3, MEMBER);
        code.add(3, i32::from(from));
        code.set(4, bytes);
        code.set(5, 0);
        code.call(SKB_STORE_BYTES);
    }
}
