// bench/nfs-rpc.ts
import { fork } from "node:child_process";
import { connect as connect2 } from "node:net";
import { cpuUsage } from "node:process";
import { fileURLToPath } from "node:url";

// src/base/log.ts
import { pino } from "pino";
var silentLog = () => {
};

// src/nfs/server.ts
import { randomBytes } from "node:crypto";

// src/base/errors.ts
var WireError = class extends Error {
  /** Stable, e.g. `short`, `dhcp.cookie`. */
  code;
  /** Byte offset into the datagram or record at which reading failed. */
  offset;
  constructor(code, offset, message) {
    super(message);
    this.name = "WireError";
    this.code = code;
    this.offset = offset;
  }
};
var FarmError = class extends Error {
  /** Stable, e.g. `config.invalid`, `node.duplicate`, `port.taken`. */
  code;
  /** What to do about it; printed on its own line. */
  hint;
  constructor(code, message, hint, cause) {
    super(message, cause === void 0 ? void 0 : { cause });
    this.name = "FarmError";
    this.code = code;
    this.hint = hint;
  }
};
function systemCode(error) {
  if (!(error instanceof Error) || !("code" in error)) return void 0;
  return typeof error.code === "string" ? error.code : void 0;
}
function sentence(error) {
  return error instanceof Error ? error.message : String(error);
}

// src/base/bytes.ts
var ByteReader = class {
  bytes;
  offset;
  end;
  constructor(bytes, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }
  get left() {
    return this.end - this.offset;
  }
  /** Claims the next `count` bytes and returns where they start. */
  claim(count) {
    const at = this.offset;
    if (count > this.end - at) {
      throw new WireError("short", at, `${count} bytes wanted at offset ${at}, ${this.end - at} left`);
    }
    this.offset = at + count;
    return at;
  }
  u8() {
    return this.bytes.readUInt8(this.claim(1));
  }
  u16() {
    return this.bytes.readUInt16BE(this.claim(2));
  }
  u32() {
    return this.bytes.readUInt32BE(this.claim(4));
  }
  i32() {
    return this.bytes.readInt32BE(this.claim(4));
  }
  /** 64 bits, exact. */
  u64() {
    return this.bytes.readBigUInt64BE(this.claim(8));
  }
  /** A view, not a copy, of the next `count` bytes. */
  take(count) {
    const at = this.claim(count);
    return this.bytes.subarray(at, at + count);
  }
  skip(count) {
    this.claim(count);
  }
  /** A view of everything that is left. */
  rest() {
    return this.take(this.left);
  }
};
var ByteWriter = class {
  buffer;
  length = 0;
  constructor(capacity = 512) {
    this.buffer = Buffer.allocUnsafe(capacity);
  }
  grow(count) {
    const at = this.length;
    const needed = at + count;
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(larger, 0, 0, at);
      this.buffer = larger;
    }
    this.length = needed;
    return at;
  }
  u8(value) {
    const at = this.grow(1);
    this.buffer.writeUInt8(value, at);
  }
  u16(value) {
    const at = this.grow(2);
    this.buffer.writeUInt16BE(value, at);
  }
  u32(value) {
    const at = this.grow(4);
    this.buffer.writeUInt32BE(value, at);
  }
  i32(value) {
    const at = this.grow(4);
    this.buffer.writeInt32BE(value, at);
  }
  u64(value) {
    const at = this.grow(8);
    this.buffer.writeBigUInt64BE(value, at);
  }
  put(bytes) {
    const at = this.grow(bytes.length);
    this.buffer.set(bytes, at);
  }
  zeros(count) {
    const at = this.grow(count);
    this.buffer.fill(0, at, at + count);
  }
  /** Overwrites four bytes written earlier, for lengths known only afterwards. */
  setU32(at, value) {
    this.buffer.writeUInt32BE(value, at);
  }
  /** What was written so far; a view that the next write may invalidate. */
  bytes() {
    return this.buffer.subarray(0, this.length);
  }
};

// src/rpc/xdr.ts
function padding(length) {
  return -length & 3;
}
function readFixedOpaque(reader, length) {
  const bytes = reader.take(length);
  reader.skip(padding(length));
  return bytes;
}
function readOpaque(reader, most) {
  const at = reader.offset;
  const length = reader.u32();
  if (length > most) throw new WireError("xdr.length", at, `${length} bytes of opaque data where ${most} are allowed`);
  return readFixedOpaque(reader, length);
}
function readString(reader, most) {
  return readOpaque(reader, most).toString("latin1");
}
function readBool(reader) {
  const at = reader.offset;
  const value = reader.u32();
  if (value > 1) throw new WireError("xdr.bool", at, `${value} is no boolean`);
  return value === 1;
}
function readOptional(reader, read2) {
  return readBool(reader) ? read2(reader) : void 0;
}
function readEnum(reader, words) {
  const at = reader.offset;
  const value = reader.u32();
  const word = words[value];
  if (word === void 0) throw new WireError("xdr.enum", at, `${value} is none of ${words.join(", ")}`);
  return word;
}
function readHyper(reader) {
  const high = reader.u32();
  return high * 4294967296 + reader.u32();
}
function writeFixedOpaque(writer, bytes) {
  writer.put(bytes);
  const fill = padding(bytes.length);
  if (fill > 0) writer.zeros(fill);
}
function writeOpaque(writer, bytes) {
  writer.u32(bytes.length);
  writeFixedOpaque(writer, bytes);
}
function writeString(writer, text) {
  writeOpaque(writer, Buffer.from(text, "latin1"));
}
function writeBool(writer, value) {
  writer.u32(value ? 1 : 0);
}
function writeOptional(writer, value, write2) {
  writeBool(writer, value !== void 0);
  if (value !== void 0) write2(writer, value);
}
function writeHyper(writer, value) {
  writer.u32(Math.floor(value / 4294967296));
  writer.u32(value >>> 0);
}

// src/rpc/message.ts
var authBodyMax = 400;
var machineNameMax = 255;
var groupsMax = 16;
var rpcVersion = 2;
var messageTypes = { call: 0, reply: 1 };
var flavors = { none: 0, unix: 1 };
var acceptStatus = {
  success: 0,
  "program-unavailable": 1,
  "program-mismatch": 2,
  "procedure-unavailable": 3,
  "garbage-arguments": 4,
  "system-error": 5
};
var authBadCredential = 1;
function decodeCall(reader) {
  const xid = reader.u32();
  const type = reader.u32();
  if (type !== messageTypes.call) throw new WireError("rpc.type", 4, `message type ${type} is no call`);
  if (reader.u32() !== rpcVersion) return { kind: "denied", xid, reason: "rpc-mismatch" };
  const program = reader.u32();
  const version = reader.u32();
  const procedure2 = reader.u32();
  const credential = decodeAuthentication(reader);
  if (credential === void 0) return { kind: "denied", xid, reason: "bad-credential" };
  return { kind: "call", xid, program, version, procedure: procedure2, credential };
}
function decodeAuthentication(reader) {
  try {
    const flavor = reader.u32();
    const body = readOpaque(reader, authBodyMax);
    reader.u32();
    readOpaque(reader, authBodyMax);
    if (flavor === flavors.none) return { flavor: "none" };
    return flavor === flavors.unix ? decodeUnixCredential(new ByteReader(body)) : void 0;
  } catch (error) {
    if (error instanceof WireError) return void 0;
    throw error;
  }
}
function decodeUnixCredential(reader) {
  reader.u32();
  const machine = readString(reader, machineNameMax);
  const uid = reader.u32();
  const gid = reader.u32();
  const count = reader.u32();
  if (count > groupsMax) throw new WireError("rpc.groups", reader.offset, `${count} groups, ${groupsMax} are allowed`);
  const gids = [];
  for (let index = 0; index < count; index += 1) gids.push(reader.u32());
  return { flavor: "unix", machine, uid, gid, gids };
}
function encodeReply(writer, reply) {
  writer.u32(reply.xid);
  writer.u32(messageTypes.reply);
  if (reply.kind === "denied") {
    writer.u32(1);
    writer.u32(reply.reason === "rpc-mismatch" ? 0 : 1);
    if (reply.reason === "rpc-mismatch") {
      writer.u32(rpcVersion);
      writer.u32(rpcVersion);
    } else writer.u32(authBadCredential);
    return;
  }
  writer.u32(0);
  writer.u32(flavors.none);
  writer.u32(0);
  writer.u32(acceptStatus[reply.kind]);
  if (reply.kind === "success") reply.body.encode(writer);
  else if (reply.kind === "program-mismatch") {
    writer.u32(reply.low);
    writer.u32(reply.high);
  }
}

// src/rpc/program.ts
var voidBody = { encode: () => {
} };
var nullProcedure = { name: "NULL", once: false, run: () => voidBody };
function answer(answering, client, message) {
  const reader = new ByteReader(message);
  const call = decodeCall(reader);
  if (call.kind === "denied") return call;
  const { xid } = call;
  const program = answering.programs.get(call.program);
  if (program === void 0) return { kind: "program-unavailable", xid };
  const procedures = program.versions.get(call.version);
  if (procedures === void 0) {
    const versions = [...program.versions.keys()];
    return { kind: "program-mismatch", xid, low: Math.min(...versions), high: Math.max(...versions) };
  }
  const procedure2 = procedures[call.procedure];
  if (procedure2 === void 0) return { kind: "procedure-unavailable", xid };
  return procedure2.once && answering.replies !== void 0 ? answering.replies.once(client, message, () => perform(answering, procedure2, client, call, reader)) : perform(answering, procedure2, client, call, reader);
}
function encodeAnswer(answering, writer, reply) {
  const start = writer.length;
  try {
    encodeReply(writer, reply);
    return reply.kind === "success" ? reply.body.tail : void 0;
  } catch (error) {
    writer.length = start;
    answering.fault("encoding", error);
    encodeReply(writer, { kind: "system-error", xid: reply.xid });
    return void 0;
  }
}
function perform(answering, procedure2, client, call, args) {
  const { xid } = call;
  try {
    const body = procedure2.run({ client, credential: call.credential }, args);
    if (!(body instanceof Promise)) return { kind: "success", xid, body };
    return body.then(
      (settled) => ({ kind: "success", xid, body: settled }),
      (error) => failed(answering, procedure2, xid, error)
    );
  } catch (error) {
    return failed(answering, procedure2, xid, error);
  }
}
function failed(answering, procedure2, xid, error) {
  if (error instanceof WireError) return { kind: "garbage-arguments", xid };
  answering.fault(procedure2.name, error);
  return { kind: "system-error", xid };
}

// src/rpc/portmap.ts
var portmapProgram = 1e5;
var portmapVersion = 2;
var portmapPort = 111;
var protocols = { tcp: 6, udp: 17 };
function portmap(mappings2, ownPort = portmapPort) {
  const own = ["tcp", "udp"].map((protocol) => ({ program: portmapProgram, version: portmapVersion, protocol, port: ownPort }));
  const all = [...own, ...mappings2];
  const getPort = { name: "GETPORT", once: false, run: (_caller, args) => portOf(all, args) };
  const dump = { name: "DUMP", once: false, run: () => listOf(all) };
  return { number: portmapProgram, versions: /* @__PURE__ */ new Map([[portmapVersion, [nullProcedure, void 0, void 0, getPort, dump]]]) };
}
function portOf(mappings2, args) {
  const program = args.u32();
  const version = args.u32();
  const protocol = args.u32();
  args.u32();
  const candidates = mappings2.filter((mapping) => mapping.program === program && protocols[mapping.protocol] === protocol);
  const found = candidates.find((mapping) => mapping.version === version) ?? candidates[0];
  return { encode: (writer) => writer.u32(found?.port ?? 0) };
}
function listOf(mappings2) {
  return {
    encode: (writer) => {
      for (const mapping of mappings2) {
        writeOptional(writer, mapping, () => {
          writer.u32(mapping.program);
          writer.u32(mapping.version);
          writer.u32(protocols[mapping.protocol]);
          writer.u32(mapping.port);
        });
      }
      writer.u32(0);
    }
  };
}

// src/rpc/reply-cache.ts
var answersPerClient = 512;
var answersInAll = 131072;
var answerLifetime = 12e4;
var summedBytes = 512;
var ReplyCache = class {
  clock;
  most;
  /** The client that was heard least recently first. None is without answers. */
  clients = /* @__PURE__ */ new Map();
  count = 0;
  constructor(clock, most = answersInAll) {
    this.clock = clock;
    this.most = most;
  }
  /** The remembered answer to exactly this message of this client, or that of `perform`. */
  once(client, message, perform2) {
    const now = this.clock.now();
    const answers = this.clients.get(client) ?? /* @__PURE__ */ new Map();
    this.clients.delete(client);
    this.clients.set(client, answers);
    this.forgetOld(answers, now);
    const key = callKey(message);
    const known = answers.get(key);
    if (known !== void 0) return known.reply;
    const answer2 = { at: now, reply: perform2() };
    answers.set(key, answer2);
    this.count += 1;
    this.makeRoom(answers);
    if (answer2.reply instanceof Promise) void answer2.reply.then((reply) => this.settle(client, key, answer2, reply));
    else this.settle(client, key, answer2, answer2.reply);
    return answer2.reply;
  }
  forgetOld(answers, now) {
    for (const [key, { at }] of answers) {
      if (now - at < answerLifetime) return;
      answers.delete(key);
      this.count -= 1;
    }
  }
  makeRoom(answers) {
    if (answers.size > answersPerClient) this.forgetFirst(answers);
    if (this.count <= this.most) return;
    for (const [client, least] of this.clients) {
      this.forgetFirst(least);
      if (least.size === 0) this.clients.delete(client);
      return;
    }
  }
  forgetFirst(answers) {
    for (const key of answers.keys()) {
      answers.delete(key);
      this.count -= 1;
      return;
    }
  }
  /** An answer that says nothing about what was done is not worth keeping: the next try may succeed. */
  settle(client, key, answer2, reply) {
    answer2.reply = reply;
    const answers = this.clients.get(client);
    if (reply.kind === "success" || answers?.get(key) !== answer2) return;
    answers.delete(key);
    this.count -= 1;
    if (answers.size === 0) this.clients.delete(client);
  }
};
function callKey(message) {
  let sum = 2166136261;
  const end = Math.min(message.length, summedBytes);
  for (let at = 4; at < end; at += 1) sum = Math.imul(sum ^ message.readUInt8(at), 16777619);
  return `${message.readUInt32BE(0)}/${message.length}/${sum >>> 0}`;
}

// src/rpc/server.ts
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

// src/base/addresses.ts
function parseIpv4(text) {
  const parts = text.split(".");
  if (parts.length !== 4) return void 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return void 0;
  }
  return text;
}
function ipv4(text) {
  const address = parseIpv4(text);
  if (address === void 0) {
    throw new FarmError("address.ipv4", `"${text}" is not an IPv4 address`, "write it as four numbers from 0 to 255, e.g. 10.11.0.7");
  }
  return address;
}
function ipv4FromPeer(address) {
  return parseIpv4(address.replace(/^::ffff:/i, ""));
}

// src/rpc/connection.ts
import { nextTick } from "node:process";

// src/rpc/record.ts
var lastFragment = 2147483648;
var headerBytes = 4;
var piecesMax = 4096;
var RecordReader = class {
  most;
  chunks = [];
  chunk;
  at = 0;
  /** The header of the current fragment as far as it is there. */
  header = 0;
  headerLeft = headerBytes;
  fragmentLeft = 0;
  last = false;
  pieces = [];
  length = 0;
  constructor(most) {
    this.most = most;
  }
  push(chunk) {
    if (chunk.length === 0) return;
    if (this.chunk === void 0) {
      this.chunk = chunk;
      this.at = 0;
    } else this.chunks.push(chunk);
  }
  /** The next whole record, or undefined until more is pushed. */
  next() {
    while (this.chunk !== void 0) {
      if (this.headerLeft > 0) {
        this.readHeader(this.chunk);
        if (this.headerLeft > 0) continue;
      }
      if (this.fragmentLeft > 0 && this.chunk !== void 0) this.readFragment(this.chunk);
      if (this.fragmentLeft > 0) continue;
      this.headerLeft = headerBytes;
      if (this.last) return this.takeRecord();
    }
    return void 0;
  }
  readHeader(chunk) {
    const available = Math.min(this.headerLeft, chunk.length - this.at);
    for (let index = 0; index < available; index += 1) this.header = (this.header << 8 | chunk.readUInt8(this.at + index)) >>> 0;
    this.headerLeft -= available;
    if (this.headerLeft === 0) {
      this.last = this.header >= lastFragment;
      this.fragmentLeft = this.header & ~lastFragment;
      if (this.length + this.fragmentLeft > this.most || this.pieces.length > piecesMax) {
        throw new WireError("rpc.record", this.at, `a record above ${this.most} bytes or ${piecesMax} pieces`);
      }
    }
    this.advance(available);
  }
  readFragment(chunk) {
    const available = Math.min(this.fragmentLeft, chunk.length - this.at);
    this.pieces.push(chunk.subarray(this.at, this.at + available));
    this.length += available;
    this.fragmentLeft -= available;
    this.advance(available);
  }
  advance(count) {
    this.at += count;
    if (this.chunk !== void 0 && this.at === this.chunk.length) {
      this.chunk = this.chunks.shift();
      this.at = 0;
    }
  }
  takeRecord() {
    const [first] = this.pieces;
    const record = first !== void 0 && this.pieces.length === 1 ? first : Buffer.concat(this.pieces, this.length);
    this.pieces = [];
    this.length = 0;
    return record;
  }
};

// src/rpc/connection.ts
var writerCapacity = 2048;
var Connection = class {
  socket;
  limits;
  events;
  records;
  inFlight = 0;
  /** Whole chunks that go out with the next flush, and the one being written. */
  chunks = [];
  writer;
  queuedBytes = 0;
  pumping = false;
  flushing = false;
  ending = false;
  constructor(socket, limits, events) {
    this.socket = socket;
    this.limits = limits;
    this.events = events;
    this.records = new RecordReader(limits.recordBytes);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 6e4);
    socket.setTimeout(limits.idleTime, () => this.idle());
    socket.on("data", (chunk) => {
      this.records.push(chunk);
      this.pump();
    });
    socket.on("drain", () => this.pump());
    socket.on("error", () => socket.destroy());
  }
  /** Takes no more calls; ends the connection when those under way are answered. */
  end() {
    this.ending = true;
    this.socket.pause();
    this.endIfDone();
  }
  destroy() {
    this.socket.destroy();
  }
  idle() {
    if (this.inFlight === 0) this.socket.destroy();
  }
  full() {
    return this.ending || this.inFlight >= this.limits.inFlight || this.queuedBytes + this.socket.writableLength >= this.limits.outputBytes;
  }
  /** Answers what is there until nothing is left or the connection is full; a finished call or `drain` goes on. */
  pump() {
    if (this.pumping || this.socket.destroyed) return;
    this.pumping = true;
    try {
      for (let record = this.take(); record !== void 0; record = this.take()) this.handle(record);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.events.dropped(sentence(error));
      this.socket.destroy();
      return;
    } finally {
      this.pumping = false;
    }
    const full = this.full();
    this.flush();
    if (!full) this.socket.resume();
    else {
      this.socket.pause();
      if (!this.full()) setImmediate(() => this.pump());
    }
  }
  take() {
    return this.full() ? void 0 : this.records.next();
  }
  handle(record) {
    const reply = this.events.answer(record);
    if (!(reply instanceof Promise)) {
      this.append(reply);
      return;
    }
    this.inFlight += 1;
    void reply.then((settled) => {
      this.inFlight -= 1;
      this.append(settled);
      this.flushSoon();
    });
  }
  /** Adds one record, marked as a single fragment. */
  append(reply) {
    this.writer ??= new ByteWriter(writerCapacity);
    const { writer } = this;
    const start = writer.length;
    writer.u32(0);
    const tail = this.events.encode(writer, reply);
    const length = writer.length - start - 4 + (tail?.length ?? 0);
    writer.setU32(start, (lastFragment | length) >>> 0);
    this.queuedBytes += length + 4;
    if (tail !== void 0) {
      this.chunks.push(writer.bytes(), tail);
      this.writer = void 0;
    }
  }
  /** Answers that become ready in one turn of the event loop go out together. */
  flushSoon() {
    if (this.flushing) return;
    this.flushing = true;
    nextTick(() => {
      this.flushing = false;
      this.flush();
      this.pump();
      this.endIfDone();
    });
  }
  flush() {
    if (this.writer !== void 0) this.chunks.push(this.writer.bytes());
    const { chunks } = this;
    this.chunks = [];
    this.writer = void 0;
    this.queuedBytes = 0;
    if (chunks.length === 0 || this.socket.destroyed) return;
    if (chunks.length > 1) this.socket.cork();
    for (const chunk of chunks) this.socket.write(chunk);
    if (chunks.length > 1) this.socket.uncork();
  }
  endIfDone() {
    if (this.ending && this.inFlight === 0) this.socket.end();
  }
};

// src/rpc/limits.ts
var defaultLimits = {
  recordBytes: 1024 * 1024 + 4096,
  connections: 8192,
  connectionsPerClient: 64,
  inFlight: 128,
  outputBytes: 4 * 1024 * 1024,
  idleTime: 36e4,
  closingTime: 3e3
};

// src/rpc/server.ts
var datagramMax = 65507;
async function startRpcServer(options) {
  const { name, address, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const answering = {
    programs: new Map(options.programs.map((program) => [program.number, program])),
    replies: options.replies,
    fault: (procedure2, error) => log("error", "rpc.fault", { server: name, procedure: procedure2, error: error instanceof Error ? error.stack : String(error) })
  };
  const closers = [];
  const sockets = [];
  let { port } = options;
  let closing;
  const close = () => {
    closing ??= Promise.all(closers.map((closer) => closer())).then(() => {
    });
    return closing;
  };
  try {
    if (options.transports.includes("tcp")) {
      const connections = /* @__PURE__ */ new Map();
      const server = createServer((socket) => accept(socket, connections, answering, limits, name, log));
      port = await listen(server, address, port);
      closers.push(() => closeServer(server, connections, limits));
      sockets.push(`tcp ${address}:${port}`);
    }
    if (options.transports.includes("udp")) {
      const socket = createSocket("udp4");
      port = await bindDatagrams(socket, address, port);
      socket.on("message", (message, from) => void answerDatagram(socket, answering, message, from, name, log));
      socket.on("error", (error) => log("warn", "rpc.udp", { server: name, error: error.message }));
      closers.push(() => new Promise((resolve2) => socket.close(() => resolve2())));
      sockets.push(`udp ${address}:${port}`);
    }
  } catch (error) {
    await close();
    throw bindError(error, name, address, options.port);
  }
  return { name, port, sockets, close };
}
function accept(socket, connections, answering, limits, server, log) {
  const client = ipv4FromPeer(socket.remoteAddress ?? "");
  const refusal2 = client === void 0 ? "not an IPv4 client" : crowded(connections, client, limits);
  if (client === void 0 || refusal2 !== void 0) {
    log("warn", "rpc.refused", { server, client, reason: refusal2 });
    socket.on("error", () => {
    });
    socket.destroy();
    return;
  }
  const connection = new Connection(socket, limits, {
    answer: (message) => answer(answering, client, message),
    encode: (writer, reply) => encodeAnswer(answering, writer, reply),
    dropped: (reason) => log("warn", "rpc.dropped", { server, client, reason })
  });
  connections.set(connection, client);
  socket.on("close", () => connections.delete(connection));
}
function crowded(connections, client, limits) {
  if (connections.size >= limits.connections) return `more than ${limits.connections} connections`;
  let ofClient = 0;
  for (const other of connections.values()) if (other === client) ofClient += 1;
  return ofClient >= limits.connectionsPerClient ? `more than ${limits.connectionsPerClient} connections of one client` : void 0;
}
async function answerDatagram(socket, answering, message, from, server, log) {
  const client = ipv4FromPeer(from.address);
  if (client === void 0) return;
  let reply;
  try {
    reply = await answer(answering, client, message);
  } catch (error) {
    log("debug", "rpc.dropped", { server, client, reason: sentence(error) });
    return;
  }
  const writer = new ByteWriter();
  const tail = encodeAnswer(answering, writer, reply);
  const datagram = tail === void 0 ? writer.bytes() : Buffer.concat([writer.bytes(), tail]);
  if (datagram.length > datagramMax) log("debug", "rpc.dropped", { server, client, reason: `an answer of ${datagram.length} bytes does not fit a datagram` });
  else socket.send(datagram, from.port, from.address, (error) => error && log("debug", "rpc.udp", { server, client, error: error.message }));
}
function listen(server, address, port) {
  return new Promise((resolve2, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      server.off("error", reject);
      const bound = server.address();
      resolve2(typeof bound === "object" && bound !== null ? bound.port : port);
    });
  });
}
function bindDatagrams(socket, address, port) {
  return new Promise((resolve2, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, () => {
      socket.off("error", reject);
      resolve2(socket.address().port);
    });
  });
}
async function closeServer(server, connections, limits) {
  const closed = new Promise((resolve2) => server.close(() => resolve2()));
  for (const connection of connections.keys()) connection.end();
  const impatience = setTimeout(() => {
    for (const connection of connections.keys()) connection.destroy();
  }, limits.closingTime);
  await closed;
  clearTimeout(impatience);
}
function bindError(error, name, address, port) {
  const code = systemCode(error);
  const where = `${name} cannot listen on ${address} port ${port}`;
  if (code === "EADDRINUSE") return new FarmError("port.taken", `${where}: another program has it`, `find it with: ss -lnp 'sport = :${port}'`, error);
  if (code === "EACCES") return new FarmError("port.denied", `${where}: not permitted`, "ports below 1024 need root, or CAP_NET_BIND_SERVICE", error);
  if (code === void 0) return error;
  return new FarmError("port.unusable", `${where}: ${sentence(error)}`, "the address must be one of this machine (ip -br address)", error);
}

// src/nfs/handles.ts
import { createHmac, timingSafeEqual } from "node:crypto";
var layout = 1;
var fieldBytes = 16;
var macBytes = 8;
var handleBytes = fieldBytes + macBytes;
var remembered = 16384;
function authenticate(key, fields) {
  return createHmac("sha256", key).update(fields).digest().subarray(0, macBytes);
}
function encodeHandle(key, fields) {
  const handle = Buffer.alloc(handleBytes);
  handle.writeUInt32BE(layout, 0);
  handle.writeUInt32BE(fields.owner, 4);
  handle.writeUInt32BE(fields.generation, 8);
  handle.writeUInt32BE(fields.object, 12);
  authenticate(key, handle.subarray(0, fieldBytes)).copy(handle, fieldBytes);
  return handle;
}
function decodeHandle(key, handle) {
  if (handle.length !== handleBytes || handle.readUInt32BE(0) !== layout) return void 0;
  if (!timingSafeEqual(authenticate(key, handle.subarray(0, fieldBytes)), handle.subarray(fieldBytes))) return void 0;
  return { owner: handle.readUInt32BE(4), generation: handle.readUInt32BE(8), object: handle.readUInt32BE(12) };
}
var FileHandles = class {
  key;
  decoded = new RecentMap(remembered);
  encoded = new RecentMap(remembered);
  constructor(key) {
    this.key = key;
  }
  encode(owner, generation, object) {
    const name = `${object}/${owner}/${generation}`;
    const known = this.encoded.get(name);
    if (known !== void 0) return known;
    const handle = encodeHandle(this.key, { owner, generation, object });
    this.encoded.set(name, handle);
    return handle;
  }
  decode(handle) {
    const name = handle.toString("latin1");
    const known = this.decoded.get(name);
    if (known !== void 0) return known;
    const fields = decodeHandle(this.key, handle);
    if (fields !== void 0) this.decoded.set(name, fields);
    return fields;
  }
};
var RecentMap = class {
  size;
  newer = /* @__PURE__ */ new Map();
  older = /* @__PURE__ */ new Map();
  constructor(size) {
    this.size = size;
  }
  get(key) {
    const value = this.newer.get(key);
    if (value !== void 0) return value;
    const aged = this.older.get(key);
    if (aged !== void 0) this.set(key, aged);
    return aged;
  }
  set(key, value) {
    this.newer.set(key, value);
    if (this.newer.size < this.size) return;
    this.older = this.newer;
    this.newer = /* @__PURE__ */ new Map();
  }
};

// src/tree/tree.ts
var TreeError = class extends Error {
  code;
  constructor(code, message = code, cause) {
    super(message, cause === void 0 ? void 0 : { cause });
    this.name = "TreeError";
    this.code = code;
  }
};
var nameMax = 255;

// src/nfs/status.ts
var statusNumbers = {
  OK: 0,
  PERM: 1,
  NOENT: 2,
  IO: 5,
  NXIO: 6,
  ACCES: 13,
  EXIST: 17,
  XDEV: 18,
  NODEV: 19,
  NOTDIR: 20,
  ISDIR: 21,
  INVAL: 22,
  FBIG: 27,
  NOSPC: 28,
  ROFS: 30,
  MLINK: 31,
  NAMETOOLONG: 63,
  NOTEMPTY: 66,
  DQUOT: 69,
  STALE: 70,
  REMOTE: 71,
  BADHANDLE: 10001,
  NOT_SYNC: 10002,
  BAD_COOKIE: 10003,
  NOTSUPP: 10004,
  TOOSMALL: 10005,
  SERVERFAULT: 10006,
  BADTYPE: 10007,
  JUKEBOX: 10008
};
var Refusal = class extends Error {
  status;
  constructor(status) {
    super(status);
    this.name = "Refusal";
    this.status = status;
  }
};
var ofTree = {
  ACCES: "ACCES",
  BADNAME: "INVAL",
  DQUOT: "DQUOT",
  EXIST: "EXIST",
  FBIG: "FBIG",
  INVAL: "INVAL",
  IO: "IO",
  ISDIR: "ISDIR",
  MLINK: "MLINK",
  NAMETOOLONG: "NAMETOOLONG",
  NOENT: "NOENT",
  NOSPC: "NOSPC",
  NOTDIR: "NOTDIR",
  NOTEMPTY: "NOTEMPTY",
  PERM: "PERM",
  ROFS: "ROFS",
  STALE: "STALE",
  XDEV: "XDEV"
};
function statusOf(error) {
  if (error instanceof Refusal) return error.status;
  return error instanceof TreeError ? ofTree[error.code] : void 0;
}

// src/nfs/mount.ts
var pathMax = 1024;
var authSys = 1;
var mountsMax = 8192;
var mountFailures = ["PERM", "NOENT", "IO", "ACCES", "NOTDIR", "INVAL", "NAMETOOLONG", "NOTSUPP", "SERVERFAULT"];
function mount3(state) {
  const mounted = /* @__PURE__ */ new Map();
  const define = (name, run2) => ({ name, once: false, run: run2 });
  return [
    nullProcedure,
    define("MNT", ({ client }, args) => mountPath(state, mounted, client, readString(args, pathMax))),
    define("DUMP", () => listBody([...mounted.values()], writeMounted)),
    define("UMNT", ({ client }, args) => unmount(state, mounted, client, readString(args, pathMax))),
    define("UMNTALL", ({ client }) => unmountAll(state, mounted, client)),
    define("EXPORT", ({ client }) => listBody(state.exports.paths(client), writeExport))
  ];
}
function mountPath(state, mounted, client, path) {
  try {
    const view = state.exports.mount(client, path);
    if (view === void 0) throw new Refusal("ACCES");
    const handle = state.handles.encode(view.owner, view.tree.generation, mountedDirectory(view));
    remember(mounted, { client, path });
    state.observe({ kind: "mounted", client, path, owner: view.owner });
    return { encode: (writer) => writeMountOk(writer, handle) };
  } catch (error) {
    const status = statusOf(error) ?? "SERVERFAULT";
    if (status === "SERVERFAULT") state.fault(error);
    state.observe({ kind: "refused", client, path, reason: status });
    return { encode: (writer) => writer.u32(statusNumbers[mountFailures.includes(status) ? status : "IO"]) };
  }
}
function mountedDirectory({ tree, within = "" }) {
  let id = tree.root;
  for (const name of within.split("/")) {
    if (name === "" || name === ".") continue;
    id = name === ".." ? tree.parent(id) : tree.lookup(id, name);
    directoryOnly(tree, id);
  }
  return id;
}
function directoryOnly(tree, id) {
  if (tree.attributes(id).kind !== "directory") throw new Refusal("NOTDIR");
}
function remember(mounted, entry) {
  const key = `${entry.client} ${entry.path}`;
  mounted.delete(key);
  mounted.set(key, entry);
  if (mounted.size <= mountsMax) return;
  for (const oldest of mounted.keys()) {
    mounted.delete(oldest);
    return;
  }
}
function unmount(state, mounted, client, path) {
  if (mounted.delete(`${client} ${path}`)) state.observe({ kind: "unmounted", client, path });
  return voidBody;
}
function unmountAll(state, mounted, client) {
  for (const entry of [...mounted.values()]) if (entry.client === client) unmount(state, mounted, client, entry.path);
  return voidBody;
}
function writeMountOk(writer, handle) {
  writer.u32(statusNumbers.OK);
  writeOpaque(writer, handle);
  writer.u32(1);
  writer.u32(authSys);
}
function listBody(entries, write2) {
  return {
    encode: (writer) => {
      for (const entry of entries) {
        writeBool(writer, true);
        write2(writer, entry);
      }
      writeBool(writer, false);
    }
  };
}
function writeMounted(writer, { client, path }) {
  writeString(writer, client);
  writeString(writer, path);
}
function writeExport(writer, path) {
  writeString(writer, path);
  writeBool(writer, false);
}

// src/nfs/access.ts
var nobody = { uid: 65534, gid: 65534, gids: [] };
var setUid = 2048;
var setGid = 1024;
var sticky = 512;
var groupExecute = 8;
var rights = { read: 4, write: 2, execute: 1 };
var accessBits = { read: 1, lookup: 2, modify: 4, extend: 8, delete: 16, execute: 32 };
function userOf(credential) {
  return credential.flavor === "none" ? nobody : credential;
}
function isMember(user, gid) {
  return user.gid === gid || user.gids.includes(gid);
}
function permits(object, user, right) {
  if (user.uid === 0) return right !== "execute" || object.kind === "directory" || (object.mode & 73) !== 0;
  const shift = user.uid === object.uid ? 6 : isMember(user, object.gid) ? 3 : 0;
  return (object.mode >> shift & rights[right]) !== 0;
}
function mayRead(file2, user) {
  return user.uid === file2.uid || permits(file2, user, "read") || permits(file2, user, "execute");
}
function mayWrite(file2, user) {
  return user.uid === file2.uid || permits(file2, user, "write");
}
function mayChangeNames(directory2, user) {
  return permits(directory2, user, "write") && permits(directory2, user, "execute");
}
function mayRemove(directory2, object, user) {
  if (!mayChangeNames(directory2, user)) return false;
  return (directory2.mode & sticky) === 0 || user.uid === 0 || user.uid === directory2.uid || user.uid === object.uid;
}
function grantedAccess(object, user, asked) {
  const read2 = permits(object, user, "read");
  const write2 = permits(object, user, "write");
  const execute = permits(object, user, "execute");
  let granted = read2 ? accessBits.read : 0;
  if (object.kind === "directory") {
    if (execute) granted |= accessBits.lookup;
    if (write2 && execute) granted |= accessBits.modify | accessBits.extend | accessBits.delete;
  } else {
    if (write2) granted |= accessBits.modify | accessBits.extend;
    if (execute) granted |= accessBits.execute;
  }
  return granted & asked;
}
function ruleChange(object, user, asked) {
  const root = user.uid === 0;
  const owner = root || user.uid === object.uid;
  const { uid, gid, size } = asked;
  const mode = object.kind === "symlink" ? void 0 : asked.mode;
  const givenTime = asked.atime !== void 0 && asked.atime !== "now" || asked.mtime !== void 0 && asked.mtime !== "now";
  const nowTime = asked.atime === "now" || asked.mtime === "now";
  if ((mode !== void 0 || uid !== void 0 || gid !== void 0 || givenTime) && !owner) return { refused: "PERM" };
  if (!root && uid !== void 0 && uid !== object.uid) return { refused: "PERM" };
  if (!root && gid !== void 0 && gid !== object.gid && !isMember(user, gid)) return { refused: "PERM" };
  if (nowTime && !owner && !permits(object, user, "write")) return { refused: "ACCES" };
  if (size !== void 0 && !mayWrite(object, user)) return { refused: "ACCES" };
  const { mode: _, ...rest } = asked;
  const newMode = modeAfterChange(object, user, { ...rest, ...mode !== void 0 && { mode } });
  return { change: { ...rest, ...newMode !== void 0 && { mode: newMode } } };
}
function modeAfterChange(object, user, change) {
  let mode = change.mode ?? object.mode;
  const owned = change.uid !== void 0 || change.gid !== void 0;
  const written = change.size !== void 0 && user.uid !== 0;
  if (object.kind !== "directory" && object.kind !== "symlink" && (owned || written)) mode = withoutSetId(mode);
  if (change.mode !== void 0 && user.uid !== 0 && !isMember(user, change.gid ?? object.gid)) mode &= ~setGid;
  return change.mode !== void 0 || mode !== object.mode ? mode : void 0;
}
function withoutSetId(mode) {
  return (mode & groupExecute) !== 0 ? mode & ~(setUid | setGid) : mode & ~setUid;
}
function modeAfterWrite(file2, user) {
  if (user.uid === 0 || (file2.mode & (setUid | setGid)) === 0) return void 0;
  const mode = withoutSetId(file2.mode);
  return mode === file2.mode ? void 0 : mode;
}
function initialAttributes(directory2, user, kind, asked) {
  const inherited = (directory2.mode & setGid) !== 0 ? directory2.gid : user.gid;
  const uid = user.uid === 0 ? asked.uid ?? user.uid : user.uid;
  const gid = asked.gid !== void 0 && (user.uid === 0 || isMember(user, asked.gid)) ? asked.gid : inherited;
  const { size, ...rest } = asked;
  return { ...rest, ...kind === "file" && size !== void 0 && { size }, uid, gid, mode: initialMode(directory2, user, kind, asked.mode, gid) };
}
function initialMode(directory2, user, kind, asked, gid) {
  if (kind === "symlink") return 511;
  if (kind === "directory") {
    const mode2 = asked ?? 448;
    return (directory2.mode & setGid) !== 0 ? mode2 | setGid : mode2;
  }
  const mode = asked ?? 384;
  return user.uid !== 0 && !isMember(user, gid) && (mode & groupExecute) !== 0 ? mode & ~setGid : mode;
}

// src/nfs/attributes.ts
var kindNumbers = { file: 1, directory: 2, block: 3, character: 4, symlink: 5, socket: 6, fifo: 7 };
var attributeBytes = 84;
var fileSizeMax = Number.MAX_SAFE_INTEGER;
var blockBytes = 4096;
var permissionBits = 4095;
var nanosecondsMax = 999999999;
var secondsMax = 4294967295;
function writeFileAttributes(writer, { fsid, attributes }) {
  writer.u32(kindNumbers[attributes.kind]);
  writer.u32(attributes.mode);
  writer.u32(attributes.links);
  writer.u32(attributes.uid);
  writer.u32(attributes.gid);
  writeHyper(writer, attributes.size);
  writeHyper(writer, Math.ceil(attributes.size / blockBytes) * blockBytes);
  writer.u32(attributes.device?.major ?? 0);
  writer.u32(attributes.device?.minor ?? 0);
  writer.u32(fsid.owner);
  writer.u32(fsid.generation);
  writeHyper(writer, attributes.id);
  writeTime(writer, attributes.atime);
  writeTime(writer, attributes.mtime);
  writeTime(writer, attributes.ctime);
}
function writeTime(writer, time) {
  writer.u32(Math.min(Math.max(time.seconds, 0), secondsMax));
  writer.u32(time.nanoseconds);
}
function readTime(reader) {
  const seconds = reader.u32();
  const at = reader.offset;
  const nanoseconds = reader.u32();
  if (nanoseconds > nanosecondsMax) throw new WireError("nfs.time", at, `${nanoseconds} ns in a second`);
  return { seconds, nanoseconds };
}
function writePostAttributes(writer, attributes) {
  writeOptional(writer, attributes, writeFileAttributes);
}
function writeWcc(writer, wcc) {
  writeOptional(writer, wcc.before, (_, before) => {
    writeHyper(writer, before.size);
    writeTime(writer, before.mtime);
    writeTime(writer, before.ctime);
  });
  writePostAttributes(writer, wcc.after);
}
function readAttributeChange(reader) {
  const mode = readOptional(reader, (from) => from.u32() & permissionBits);
  const uid = readOptional(reader, (from) => from.u32());
  const gid = readOptional(reader, (from) => from.u32());
  const size = readOptional(reader, readHyper);
  const atime = readTimeChange(reader);
  const mtime = readTimeChange(reader);
  return {
    ...mode !== void 0 && { mode },
    ...uid !== void 0 && { uid },
    ...gid !== void 0 && { gid },
    ...size !== void 0 && { size },
    ...atime !== void 0 && { atime },
    ...mtime !== void 0 && { mtime }
  };
}
function readTimeChange(reader) {
  const how = readEnum(reader, ["keep", "now", "given"]);
  if (how === "keep") return void 0;
  return how === "now" ? "now" : readTime(reader);
}

// src/nfs/v3/arguments.ts
var handleMax = 64;
var verifierBytes = 8;
var stabilities = ["unstable", "data", "file"];
function readHandle(reader) {
  return readOpaque(reader, handleMax);
}
function readNameAt(reader) {
  return { directory: readHandle(reader), name: readString(reader, reader.left) };
}
function readSetattr(reader) {
  return { object: readHandle(reader), change: readAttributeChange(reader), guard: readOptional(reader, readTime) };
}
function readAccess(reader) {
  return { object: readHandle(reader), access: reader.u32() };
}
function readRead(reader) {
  return { file: readHandle(reader), offset: readHyper(reader), count: reader.u32() };
}
function readWrite(reader) {
  return {
    file: readHandle(reader),
    offset: readHyper(reader),
    count: reader.u32(),
    stability: readEnum(reader, stabilities),
    data: readOpaque(reader, reader.left)
  };
}
function readCreate(reader) {
  const at = readNameAt(reader);
  const mode = readEnum(reader, ["unchecked", "guarded", "exclusive"]);
  const how = mode === "exclusive" ? { mode, verifier: reader.take(verifierBytes) } : { mode, change: readAttributeChange(reader) };
  return { ...at, how };
}
function readMkdir(reader) {
  return { ...readNameAt(reader), change: readAttributeChange(reader) };
}
function readSymlink(reader) {
  return { ...readNameAt(reader), change: readAttributeChange(reader), target: readString(reader, reader.left) };
}
function readMknod(reader) {
  return { ...readNameAt(reader), what: readMknodWhat(reader) };
}
function readMknodWhat(reader) {
  const kind = readEnum(reader, ["other", "other", "other", "block", "character", "other", "socket", "fifo"]);
  if (kind === "other") return { kind };
  const change = readAttributeChange(reader);
  return kind === "block" || kind === "character" ? { kind, change, device: { major: reader.u32(), minor: reader.u32() } } : { kind, change };
}
function readRename(reader) {
  return { from: readNameAt(reader), to: readNameAt(reader) };
}
function readLink(reader) {
  return { file: readHandle(reader), link: readNameAt(reader) };
}
function readReaddir(reader) {
  const directory2 = readHandle(reader);
  const cookie = readHyper(reader);
  reader.skip(verifierBytes);
  return { directory: directory2, cookie, count: reader.u32() };
}
function readReaddirplus(reader) {
  const directory2 = readHandle(reader);
  const cookie = readHyper(reader);
  reader.skip(verifierBytes);
  return { directory: directory2, cookie, directoryCount: reader.u32(), count: reader.u32() };
}
function readCommit(reader) {
  const file2 = readHandle(reader);
  readHyper(reader);
  reader.u32();
  return { file: file2 };
}

// src/nfs/request.ts
function open(request, handle) {
  const fields = request.state.handles.decode(handle);
  if (fields === void 0) throw new Refusal("BADHANDLE");
  const { owner, generation, object } = fields;
  const tree = request.state.exports.view(owner, generation, request.client);
  if (tree === void 0 || tree.generation !== generation) throw new Refusal("STALE");
  return { tree, id: object, fsid: fields, attributes: tree.attributes(object) };
}
function attributesOf({ tree, fsid }, id) {
  return { fsid, attributes: tree.attributes(id) };
}
function handleOf(request, { fsid }, id) {
  return request.state.handles.encode(fsid.owner, fsid.generation, id);
}
function directory(object) {
  if (object.attributes.kind !== "directory") throw new Refusal("NOTDIR");
  return object;
}
function file(object) {
  if (object.attributes.kind === "directory") throw new Refusal("ISDIR");
  if (object.attributes.kind !== "file") throw new Refusal("INVAL");
  return object;
}
function demand(allowed, otherwise = "ACCES") {
  if (!allowed) throw new Refusal(otherwise);
}
function entryName(name, dots) {
  if (name === "") throw new Refusal("ACCES");
  if (name.length > nameMax) throw new Refusal("NAMETOOLONG");
  if (name === "." || name === "..") throw new Refusal(dots);
  if (name.includes("/") || name.includes("\0")) throw new Refusal("INVAL");
  return name;
}
function refusal(request, error) {
  const status = statusOf(error);
  if (status !== void 0) return status;
  request.state.fault(error);
  return "SERVERFAULT";
}
function looking(request, handle, act) {
  let attributes;
  try {
    const object = open(request, handle);
    attributes = object;
    return { status: "OK", attributes, ...act(object) };
  } catch (error) {
    return { status: refusal(request, error), attributes };
  }
}
async function changing(request, handle, act, settled = ({ tree }) => tree.stable()) {
  let object;
  let wcc;
  try {
    object = open(request, handle);
    const ok = act(object);
    wcc = wccOf(request, object);
    await settled(object);
    return { status: "OK", wcc, ...ok };
  } catch (error) {
    return { status: refusal(request, error), wcc: wcc ?? wccOf(request, object) };
  }
}
function wccOf(request, object) {
  if (object === void 0) return { before: void 0, after: void 0 };
  try {
    return { before: object.attributes, after: attributesOf(object, object.id) };
  } catch (error) {
    refusal(request, error);
    return { before: object.attributes, after: void 0 };
  }
}

// src/nfs/v3/procedures/attributes.ts
function getattr(request, handle) {
  try {
    return { status: "OK", attributes: open(request, handle) };
  } catch (error) {
    return { status: refusal(request, error) };
  }
}
function setattr(request, { object: handle, change, guard }) {
  return changing(request, handle, (object) => {
    if (guard !== void 0 && !sameTime(guard, object.attributes.ctime)) throw new Refusal("NOT_SYNC");
    applyChange(request, object, object.attributes, change);
    return {};
  });
}
function sameTime(one, other) {
  return one.seconds === other.seconds && one.nanoseconds === other.nanoseconds;
}
function applyChange(request, object, attributes, asked) {
  if (asked.size !== void 0) {
    file({ ...object, attributes });
    demand(asked.size <= fileSizeMax, "FBIG");
  }
  const ruling = ruleChange(attributes, request.user, asked);
  if ("refused" in ruling) throw new Refusal(ruling.refused);
  if (Object.keys(ruling.change).length > 0) object.tree.change(attributes.id, ruling.change);
}
function access(request, { object: handle, access: asked }) {
  return looking(request, handle, ({ attributes }) => ({ access: grantedAccess(attributes, request.user, asked) }));
}

// src/nfs/v3/procedures/find.ts
function find(request, { tree, id, attributes }, name) {
  demand(permits(attributes, request.user, "execute"));
  try {
    return tree.lookup(id, name);
  } catch (error) {
    if (error instanceof TreeError && error.code === "NOENT") return void 0;
    throw error;
  }
}

// src/nfs/v3/procedures/create.ts
var targetMax = 4095;
function create(request, { directory: handle, name, how }) {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    const existing = find(request, parent, entryName(name, "EXIST"));
    if (how.mode === "exclusive") return described(request, parent, createExclusively(request, parent, name, existing, how.verifier));
    if (existing === void 0) return described(request, parent, make(request, parent, name, { kind: "file" }, how.change));
    demand(how.mode === "unchecked", "EXIST");
    const { attributes } = attributesOf(parent, existing);
    demand(attributes.kind === "file", "EXIST");
    if (how.change.size !== void 0) applyChange(request, parent, attributes, { size: how.change.size });
    return described(request, parent, existing);
  });
}
function mkdir(request, { directory: handle, name, change }) {
  return makeAt(request, { directory: handle, name }, () => ({ object: { kind: "directory" }, change }));
}
function symlink(request, { directory: handle, name, change, target }) {
  return makeAt(request, { directory: handle, name }, () => {
    demand(target.length > 0 && !target.includes("\0"), "INVAL");
    demand(target.length <= targetMax, "NAMETOOLONG");
    return { object: { kind: "symlink", target }, change };
  });
}
function mknod(request, { directory: handle, name, what }) {
  return makeAt(request, { directory: handle, name }, () => {
    if (what.kind === "other") throw new Refusal("BADTYPE");
    if (!("device" in what)) return { object: { kind: what.kind }, change: what.change };
    demand(request.user.uid === 0, "PERM");
    return { object: { kind: what.kind, device: what.device }, change: what.change };
  });
}
function makeAt(request, { directory: handle, name }, wanted) {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    const taken = find(request, parent, entryName(name, "EXIST")) !== void 0;
    demand(!taken, "EXIST");
    const { object: kind, change } = wanted();
    return described(request, parent, make(request, parent, name, kind, change));
  });
}
function make(request, parent, name, object, asked) {
  demand(mayChangeNames(parent.attributes, request.user));
  const change = initialAttributes(parent.attributes, request.user, object.kind, asked);
  demand((change.size ?? 0) <= fileSizeMax, "FBIG");
  return parent.tree.create(parent.id, name, object, change);
}
function described(request, parent, id) {
  return { handle: handleOf(request, parent, id), object: attributesOf(parent, id) };
}
function verifierTimes(verifier) {
  return { atime: verifier.readUInt32BE(0) & 2147483647, mtime: verifier.readUInt32BE(4) & 2147483647 };
}
function createExclusively(request, parent, name, existing, verifier) {
  const times = verifierTimes(verifier);
  if (existing === void 0) {
    const change = { atime: { seconds: times.atime, nanoseconds: 0 }, mtime: { seconds: times.mtime, nanoseconds: 0 } };
    return make(request, parent, name, { kind: "file" }, change);
  }
  const { kind, size, atime, mtime } = parent.tree.attributes(existing);
  demand(kind === "file" && size === 0 && atime.seconds === times.atime && mtime.seconds === times.mtime, "EXIST");
  return existing;
}

// src/nfs/v3/procedures/data.ts
var transferMax = 1024 * 1024;
function read(request, { file: handle, offset, count }) {
  return looking(request, handle, (object) => {
    const { tree, id, attributes } = file(object);
    demand(mayRead(attributes, request.user));
    const wanted = Math.min(count, transferMax, Math.max(attributes.size - offset, 0));
    if (wanted === 0) return { count: 0, endOfFile: offset >= attributes.size, data: Buffer.alloc(0) };
    const buffer = Buffer.allocUnsafe(wanted + padding(wanted));
    const got = tree.read(id, offset, buffer.subarray(0, wanted));
    const padded = got + padding(got);
    buffer.fill(0, got, padded);
    return { count: got, endOfFile: got < wanted || offset + got >= attributes.size, data: buffer.subarray(0, padded) };
  });
}
function write(request, { file: handle, offset, count, stability, data }) {
  let modeChanged = false;
  return changing(
    request,
    handle,
    (object) => {
      const { tree, id, attributes } = file(object);
      demand(mayWrite(attributes, request.user));
      demand(count <= data.length, "INVAL");
      demand(offset + count <= fileSizeMax, "FBIG");
      if (count > 0) {
        tree.write(id, offset, data.subarray(0, count));
        const mode = modeAfterWrite(attributes, request.user);
        modeChanged = mode !== void 0;
        if (mode !== void 0) tree.change(id, { mode });
      }
      return { count, committed: stability, verifier: request.state.verifier.value };
    },
    async (object) => {
      if (stability !== "unstable") await commitData(request, object);
      if (stability === "file" || modeChanged) await object.tree.stable();
    }
  );
}
function commit(request, { file: handle }) {
  return changing(
    request,
    handle,
    (object) => {
      demand(mayWrite(file(object).attributes, request.user));
      return { verifier: request.state.verifier.value };
    },
    (object) => commitData(request, object)
  );
}
async function commitData(request, { tree, id }) {
  try {
    await tree.commit(id);
  } catch (error) {
    request.state.verifier.renew();
    throw error;
  }
}

// src/nfs/v3/results.ts
var stableHow = { unstable: 0, data: 1, file: 2 };
var cookieVerifier = Buffer.alloc(8);
var listBytes = 4 + attributeBytes + 8 + 4 + 4;
function entryBytes(name) {
  return 4 + 8 + 4 + name.length + padding(name.length) + 8;
}
var entryObjectBytes = 4 + attributeBytes + 4 + 4 + handleBytes;
function writeStatus(writer, status) {
  writer.u32(statusNumbers[status]);
}
function writeWithAttributes(writer, result) {
  writeStatus(writer, result.status);
  writePostAttributes(writer, result.attributes);
}
function writeWithWcc(writer, result) {
  writeStatus(writer, result.status);
  writeWcc(writer, result.wcc);
}
function writeGetattr(writer, result) {
  writeStatus(writer, result.status);
  if (result.status === "OK") writeFileAttributes(writer, result.attributes);
}
function writeLookup(writer, result) {
  writeStatus(writer, result.status);
  if (result.status === "OK") {
    writeOpaque(writer, result.handle);
    writePostAttributes(writer, result.object);
  }
  writePostAttributes(writer, result.attributes);
}
function writeAccess(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status === "OK") writer.u32(result.access);
}
function writeReadlink(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status === "OK") writeString(writer, result.target);
}
function writeRead(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status !== "OK") return;
  writer.u32(result.count);
  writeBool(writer, result.endOfFile);
  writer.u32(result.count);
}
function writeWrite(writer, result) {
  writeWithWcc(writer, result);
  if (result.status !== "OK") return;
  writer.u32(result.count);
  writer.u32(stableHow[result.committed]);
  writeFixedOpaque(writer, result.verifier);
}
function writeCreate(writer, result) {
  writeStatus(writer, result.status);
  if (result.status === "OK") {
    writeOptional(writer, result.handle, writeOpaque);
    writePostAttributes(writer, result.object);
  }
  writeWcc(writer, result.wcc);
}
function writeChange(writer, result) {
  writeWithWcc(writer, result);
}
function writeRename(writer, result) {
  writeStatus(writer, result.status);
  writeWcc(writer, result.from);
  writeWcc(writer, result.to);
}
function writeLink(writer, result) {
  writeWithAttributes(writer, result);
  writeWcc(writer, result.wcc);
}
function writeReaddir(writer, result) {
  writeList(writer, result, () => {
  });
}
function writeReaddirplus(writer, result) {
  writeList(writer, result, (entry) => {
    writePostAttributes(writer, entry.object?.attributes);
    writeOptional(writer, entry.object?.handle, writeOpaque);
  });
}
function writeList(writer, result, writeMore) {
  writeWithAttributes(writer, result);
  if (result.status !== "OK") return;
  writeFixedOpaque(writer, cookieVerifier);
  for (const entry of result.entries) {
    writeBool(writer, true);
    writeHyper(writer, entry.id);
    writeString(writer, entry.name);
    writeHyper(writer, entry.cookie);
    writeMore(entry);
  }
  writeBool(writer, false);
  writeBool(writer, result.endOfDirectory);
}
function writeFsstat(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status !== "OK") return;
  const { space } = result;
  writeHyper(writer, space.totalBytes);
  writeHyper(writer, space.freeBytes);
  writeHyper(writer, space.freeBytes);
  writeHyper(writer, space.totalObjects);
  writeHyper(writer, space.freeObjects);
  writeHyper(writer, space.freeObjects);
  writer.u32(0);
}
function writeFsinfo(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status !== "OK") return;
  const { info: info2 } = result;
  writer.u32(info2.readMax);
  writer.u32(info2.readPreferred);
  writer.u32(info2.multiple);
  writer.u32(info2.writeMax);
  writer.u32(info2.writePreferred);
  writer.u32(info2.multiple);
  writer.u32(info2.directoryPreferred);
  writeHyper(writer, info2.fileSizeMax);
  writer.u32(0);
  writer.u32(1);
  writer.u32(info2.properties);
}
function writePathconf(writer, result) {
  writeWithAttributes(writer, result);
  if (result.status !== "OK") return;
  writer.u32(result.linkMax);
  writer.u32(result.nameMax);
  writeBool(writer, true);
  writeBool(writer, true);
  writeBool(writer, false);
  writeBool(writer, true);
}
function writeCommit(writer, result) {
  writeWithWcc(writer, result);
  if (result.status === "OK") writeFixedOpaque(writer, result.verifier);
}

// src/nfs/v3/procedures/list.ts
var listMax = 256 * 1024;
function readdir(request, { directory: handle, cookie, count }) {
  return looking(request, handle, (object) => list(request, object, cookie, { total: count, names: listMax }, false));
}
function readdirplus(request, { directory: handle, cookie, directoryCount, count }) {
  return looking(request, handle, (object) => list(request, object, cookie, { total: count, names: directoryCount }, true));
}
function list(request, object, cookie, bounds, plus) {
  const parent = directory(object);
  demand(permits(parent.attributes, request.user, "read"));
  demand(Number.isSafeInteger(cookie), "BAD_COOKIE");
  const withObjects = plus && permits(parent.attributes, request.user, "execute");
  const limit = Math.min(bounds.total, listMax);
  const entries = [];
  let total = listBytes;
  let names = 0;
  for (const entry of allEntries(parent, cookie)) {
    const size = entryBytes(entry.name);
    total += plus ? size + entryObjectBytes : size;
    names += size;
    if (total > limit || names > bounds.names && entries.length > 0) {
      demand(entries.length > 0, "TOOSMALL");
      return { entries, endOfDirectory: false };
    }
    const { name, id, cookie: resume } = entry;
    const more = withObjects ? { attributes: attributesOf(parent, id), handle: handleOf(request, parent, id) } : void 0;
    entries.push({ name, id, cookie: resume, object: more });
  }
  return { entries, endOfDirectory: true };
}
function* allEntries({ tree, id }, cookie) {
  if (cookie < 1) yield { name: ".", id, cookie: 1 };
  if (cookie < 2) yield { name: "..", id: tree.parent(id), cookie: 2 };
  yield* tree.entries(id, Math.max(cookie, 2));
}

// src/nfs/v3/procedures/lookup.ts
function lookup(request, { directory: handle, name }) {
  return looking(request, handle, (object) => {
    const found = resolve(request, directory(object), name);
    return { handle: handleOf(request, object, found), object: attributesOf(object, found) };
  });
}
function resolve(request, parent, name) {
  demand(permits(parent.attributes, request.user, "execute"));
  if (name === ".") return parent.id;
  if (name === "..") return parent.tree.parent(parent.id);
  return parent.tree.lookup(parent.id, entryName(name, "INVAL"));
}
function readlink(request, handle) {
  return looking(request, handle, ({ tree, id }) => ({ target: tree.readlink(id) }));
}

// src/nfs/v3/procedures/names.ts
function remove(request, { directory: handle, name }) {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    removable(request, parent, entryName(name, "INVAL"));
    parent.tree.remove(parent.id, name);
    return {};
  });
}
function rmdir(request, { directory: handle, name }) {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    removable(request, parent, entryName(name, "INVAL"));
    parent.tree.removeDirectory(parent.id, name);
    return {};
  });
}
function removable(request, parent, name) {
  demand(permits(parent.attributes, request.user, "execute"));
  const object = parent.tree.attributes(parent.tree.lookup(parent.id, name));
  demand(mayChangeNames(parent.attributes, request.user));
  demand(mayRemove(parent.attributes, object, request.user), "PERM");
  return object;
}
async function rename(request, args) {
  let from;
  let to;
  let wcc;
  try {
    from = open(request, args.from.directory);
    to = open(request, args.to.directory);
    move(request, directory(from), args.from.name, directory(to), args.to.name);
    wcc = { from: wccOf(request, from), to: wccOf(request, to) };
    await from.tree.stable();
    return { status: "OK", ...wcc };
  } catch (error) {
    return { status: refusal(request, error), ...wcc ?? { from: wccOf(request, from), to: wccOf(request, to) } };
  }
}
function move(request, from, name, to, newName) {
  demand(sameView(from, to), "XDEV");
  const object = removable(request, from, entryName(name, "INVAL"));
  const replaced = find(request, to, entryName(newName, "EXIST"));
  demand(mayChangeNames(to.attributes, request.user));
  if (replaced !== void 0) demand(mayRemove(to.attributes, to.tree.attributes(replaced), request.user), "PERM");
  if (object.kind === "directory" && from.id !== to.id) demand(permits(object, request.user, "write"));
  from.tree.rename(from.id, name, to.id, newName);
}
function sameView({ fsid: one }, { fsid: other }) {
  return one.owner === other.owner && one.generation === other.generation;
}
async function link(request, args) {
  let object;
  let parent;
  let changed;
  try {
    object = open(request, args.file);
    parent = open(request, args.link.directory);
    addLink(request, object, directory(parent), args.link.name);
    changed = { attributes: attributesOf(object, object.id), wcc: wccOf(request, parent) };
    await parent.tree.stable();
    return { status: "OK", ...changed };
  } catch (error) {
    return { status: refusal(request, error), ...changed ?? { attributes: object, wcc: wccOf(request, parent) } };
  }
}
function addLink(request, object, parent, name) {
  demand(sameView(object, parent), "XDEV");
  demand(object.attributes.kind !== "directory", "ISDIR");
  demand(find(request, parent, entryName(name, "EXIST")) === void 0, "EXIST");
  demand(mayChangeNames(parent.attributes, request.user));
  parent.tree.link(object.id, parent.id, name);
}

// src/nfs/v3/procedures/server.ts
var properties = 1 | 2 | 8 | 16;
var linkMax = 65e3;
var info = {
  readMax: transferMax,
  // What clients use unless told otherwise: large enough for full speed, small enough that one reader does not keep the others waiting.
  readPreferred: 256 * 1024,
  writeMax: transferMax,
  writePreferred: 256 * 1024,
  multiple: 4096,
  directoryPreferred: 64 * 1024,
  fileSizeMax,
  properties
};
function fsstat(request, handle) {
  return looking(request, handle, ({ tree }) => ({ space: tree.space() }));
}
function fsinfo(request, handle) {
  return looking(request, handle, () => ({ info }));
}
function pathconf(request, handle) {
  return looking(request, handle, () => ({ linkMax, nameMax }));
}

// src/nfs/v3/program.ts
function procedure(name, once2, shape) {
  return (state) => ({
    name,
    once: once2,
    run: ({ client, credential }, reader) => {
      const args = shape.read(reader);
      const result = shape.run({ client, user: userOf(credential), state }, args);
      return result instanceof Promise ? result.then((settled) => bodyOf(shape, settled)) : bodyOf(shape, result);
    }
  });
}
function bodyOf(shape, result) {
  return { encode: (writer) => shape.write(writer, result), tail: shape.tail?.(result) };
}
var again = false;
var once = true;
var table = [
  /*  0 */
  () => nullProcedure,
  /*  1 */
  procedure("GETATTR", again, { read: readHandle, run: getattr, write: writeGetattr }),
  /*  2 */
  procedure("SETATTR", once, { read: readSetattr, run: setattr, write: writeChange }),
  /*  3 */
  procedure("LOOKUP", again, { read: readNameAt, run: lookup, write: writeLookup }),
  /*  4 */
  procedure("ACCESS", again, { read: readAccess, run: access, write: writeAccess }),
  /*  5 */
  procedure("READLINK", again, { read: readHandle, run: readlink, write: writeReadlink }),
  /*  6 */
  procedure("READ", again, { read: readRead, run: read, write: writeRead, tail: (result) => result.status === "OK" ? result.data : void 0 }),
  // WRITE too: one that lies in the buffer of a dead connection must not overwrite what was written after its retransmission.
  /*  7 */
  procedure("WRITE", once, { read: readWrite, run: write, write: writeWrite }),
  /*  8 */
  procedure("CREATE", once, { read: readCreate, run: create, write: writeCreate }),
  /*  9 */
  procedure("MKDIR", once, { read: readMkdir, run: mkdir, write: writeCreate }),
  /* 10 */
  procedure("SYMLINK", once, { read: readSymlink, run: symlink, write: writeCreate }),
  /* 11 */
  procedure("MKNOD", once, { read: readMknod, run: mknod, write: writeCreate }),
  /* 12 */
  procedure("REMOVE", once, { read: readNameAt, run: remove, write: writeChange }),
  /* 13 */
  procedure("RMDIR", once, { read: readNameAt, run: rmdir, write: writeChange }),
  /* 14 */
  procedure("RENAME", once, { read: readRename, run: rename, write: writeRename }),
  /* 15 */
  procedure("LINK", once, { read: readLink, run: link, write: writeLink }),
  /* 16 */
  procedure("READDIR", again, { read: readReaddir, run: readdir, write: writeReaddir }),
  /* 17 */
  procedure("READDIRPLUS", again, { read: readReaddirplus, run: readdirplus, write: writeReaddirplus }),
  /* 18 */
  procedure("FSSTAT", again, { read: readHandle, run: fsstat, write: writeFsstat }),
  /* 19 */
  procedure("FSINFO", again, { read: readHandle, run: fsinfo, write: writeFsinfo }),
  /* 20 */
  procedure("PATHCONF", again, { read: readHandle, run: pathconf, write: writePathconf }),
  /* 21 */
  procedure("COMMIT", again, { read: readCommit, run: commit, write: writeCommit })
];
function nfs3(state) {
  return table.map((bind) => bind(state));
}

// src/nfs/verifier.ts
function writeVerifier(random) {
  let value = random();
  return {
    get value() {
      return value;
    },
    renew: () => {
      value = random();
    }
  };
}

// src/nfs/server.ts
var nfsProgram = 100003;
var mountProgram = 100005;
var defaultPort = 2049;
var verifierBytes2 = 8;
async function startNfsServer(options) {
  const { address, exports, log, clock, limits = {} } = options;
  const handles = new FileHandles(options.key);
  const verifier = writeVerifier(() => randomBytes(verifierBytes2));
  const fault = (error) => log("error", "nfs.fault", { error: error instanceof Error ? error.stack : String(error) });
  const observe = (event) => {
    logEvent(log, event);
    options.observe?.(event);
  };
  const programs = [
    { number: nfsProgram, versions: /* @__PURE__ */ new Map([[3, nfs3({ exports, handles, verifier, fault })]]) },
    { number: mountProgram, versions: /* @__PURE__ */ new Map([[3, mount3({ exports, handles, observe, fault })]]) }
  ];
  const replies = new ReplyCache(clock);
  const nfs = await startRpcServer({ name: "nfs", address, port: options.port ?? defaultPort, transports: ["tcp"], programs, replies, limits, log });
  if (!options.portmap) return nfs;
  try {
    const mapper = await startRpcServer({
      name: "portmap",
      address,
      port: portmapPort,
      transports: ["tcp", "udp"],
      programs: [portmap(mappings(nfs.port))],
      limits,
      log
    });
    const close = async () => {
      await Promise.all([nfs.close(), mapper.close()]);
    };
    return { ...nfs, sockets: [...nfs.sockets, ...mapper.sockets], close };
  } catch (error) {
    await nfs.close();
    throw error;
  }
}
function mappings(port) {
  return [nfsProgram, mountProgram].map((program) => ({ program, version: 3, protocol: "tcp", port }));
}
function logEvent(log, event) {
  const { kind, ...fields } = event;
  if (kind === "mounted") log("info", "nfs.mount", fields);
  else if (kind === "refused") log("warn", "nfs.refused", fields);
  else log("info", "nfs.unmount", fields);
}

// test/support/memory-tree.ts
var pageBytes = 4096;
var MemoryTree = class {
  generation;
  root = 1;
  clock;
  limits;
  objects = /* @__PURE__ */ new Map();
  nextId = 2;
  usedBytes = 0;
  lastTime = { seconds: 0, nanoseconds: 0 };
  constructor(options = {}) {
    this.clock = options.clock ?? { now: () => Date.now() };
    this.generation = options.generation ?? 1;
    const { totalBytes = 2 ** 28, totalObjects = 2 ** 20, linkMax: linkMax2 = 65e3, fileSizeMax: fileSizeMax2 = 2 ** 36 } = options;
    this.limits = { totalBytes, totalObjects, linkMax: linkMax2, fileSizeMax: fileSizeMax2 };
    const root = this.make(this.root, { kind: "directory" }, { mode: 493, uid: 0, gid: 0 }, this.root);
    this.objects.set(root.id, root);
  }
  attributes(id) {
    const { kind, mode, links, uid, gid, size, device, atime, mtime, ctime } = this.object(id);
    return { id, kind, mode, links, uid, gid, size, device, atime, mtime, ctime };
  }
  lookup(directory2, name) {
    const entry = this.directory(directory2).entries.get(checked(name));
    if (entry === void 0) throw new TreeError("NOENT", `no ${name}`);
    return entry.id;
  }
  parent(directory2) {
    return this.directory(directory2).parent;
  }
  *entries(directory2, cookie) {
    for (const [name, entry] of this.directory(directory2).entries) if (entry.cookie > cookie) yield { name, ...entry };
  }
  readlink(id) {
    const { target } = this.object(id);
    if (target === void 0) throw new TreeError("INVAL", "no symlink");
    return target;
  }
  read(id, offset, target) {
    const file2 = this.file(id);
    const length = Math.max(Math.min(target.length, file2.size - offset), 0);
    for (const piece of pieces(offset, length)) {
      const page = file2.pages.get(piece.page);
      if (page === void 0) target.fill(0, piece.at, piece.at + piece.length);
      else page.copy(target, piece.at, piece.start, piece.start + piece.length);
    }
    return length;
  }
  write(id, offset, bytes) {
    const file2 = this.file(id);
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    if (end > this.limits.fileSizeMax) throw new TreeError("FBIG", `${end} bytes`);
    const all = [...pieces(offset, bytes.length)];
    const missing = all.filter(({ page }) => !file2.pages.has(page)).length;
    if (this.usedBytes + missing * pageBytes > this.limits.totalBytes) throw new TreeError("NOSPC", "full");
    this.usedBytes += missing * pageBytes;
    for (const { page: number, start, at, length } of all) {
      const page = file2.pages.get(number) ?? Buffer.alloc(pageBytes);
      bytes.copy(page, start, at, at + length);
      file2.pages.set(number, page);
    }
    file2.size = Math.max(file2.size, end);
    file2.mtime = file2.ctime = this.now();
  }
  create(directory2, name, object, change) {
    const parent = this.directory(directory2);
    if (parent.entries.has(checked(name))) throw new TreeError("EXIST", name);
    if (this.objects.size >= this.limits.totalObjects) throw new TreeError("NOSPC", "no object left");
    if (object.kind === "directory") this.countLink(parent, 1);
    const made = this.make(this.nextId, object, change, directory2);
    this.nextId += 1;
    this.objects.set(made.id, made);
    this.enter(parent, name, made.id);
    return made.id;
  }
  change(id, change) {
    const object = this.object(id);
    const now = this.now();
    if (change.size !== void 0 && change.size !== this.file(id).size) this.resize(object, change.size);
    if (change.size !== void 0) object.mtime = now;
    object.mode = change.mode ?? object.mode;
    object.uid = change.uid ?? object.uid;
    object.gid = change.gid ?? object.gid;
    if (change.atime !== void 0) object.atime = change.atime === "now" ? now : change.atime;
    if (change.mtime !== void 0) object.mtime = change.mtime === "now" ? now : change.mtime;
    object.ctime = now;
  }
  link(id, directory2, name) {
    const object = this.object(id);
    const parent = this.directory(directory2);
    if (object.kind === "directory") throw new TreeError("ISDIR", "a directory has one name");
    if (parent.entries.has(checked(name))) throw new TreeError("EXIST", name);
    this.countLink(object, 1);
    object.ctime = this.now();
    this.enter(parent, name, id);
  }
  remove(directory2, name) {
    const object = this.object(this.lookup(directory2, name));
    if (object.kind === "directory") throw new TreeError("ISDIR", name);
    this.leave(this.directory(directory2), name);
    this.unlink(object);
  }
  removeDirectory(directory2, name) {
    const object = this.directory(this.lookup(directory2, name));
    if (object.entries.size > 0) throw new TreeError("NOTEMPTY", name);
    this.leave(this.directory(directory2), name);
    this.unlink(object);
  }
  rename(from, name, to, newName) {
    const source = this.directory(from);
    const target = this.directory(to);
    const object = this.object(this.lookup(from, name));
    const replaced = this.objects.get(target.entries.get(checked(newName))?.id ?? 0);
    if (replaced === object) return;
    if (object.kind === "directory" && this.isWithin(to, object.id)) throw new TreeError("INVAL", "a directory cannot move into itself");
    if (replaced !== void 0) this.checkReplacing(object, replaced);
    if (object.kind === "directory" && source !== target && replaced === void 0) this.countLink(target, 1);
    else if (object.kind === "directory" && replaced !== void 0) this.directory(to).links += source === target ? 0 : 1;
    this.leave(source, name);
    if (replaced !== void 0) {
      this.leave(target, newName);
      this.unlink(replaced);
    }
    this.enter(target, newName, object.id);
    object.ctime = this.now();
    if (object.kind !== "directory") return;
    if (source !== target) source.links -= 1;
    object.parent = to;
  }
  space() {
    const { totalBytes, totalObjects } = this.limits;
    return { totalBytes, freeBytes: totalBytes - this.usedBytes, totalObjects, freeObjects: totalObjects - this.objects.size };
  }
  stable() {
    return Promise.resolve();
  }
  commit(_id) {
    return Promise.resolve();
  }
  /** Throws unless names, link counts, parents, cookies and sizes agree with each other. */
  check() {
    const links = /* @__PURE__ */ new Map([[this.root, 2]]);
    const add = (id, count) => links.set(id, (links.get(id) ?? 0) + count);
    const visit = (directory2) => {
      let cookie = 2;
      for (const [name, entry] of directory2.entries) {
        const object = this.object(entry.id);
        claim(entry.cookie > cookie, `cookie of ${name} in ${directory2.id}`);
        claim(checked(name) === name, "name");
        cookie = entry.cookie;
        add(object.id, 1);
        if (object.kind !== "directory") continue;
        claim(object.parent === directory2.id, `parent of ${object.id}`);
        add(object.id, 1);
        add(directory2.id, 1);
        visit(object);
      }
    };
    visit(this.object(this.root));
    let bytes = 0;
    for (const object of this.objects.values()) {
      claim(object.links === links.get(object.id), `object ${object.id} says ${object.links} links and has ${links.get(object.id)}`);
      for (const number of object.pages.keys()) claim(number * pageBytes < object.size, `page ${number} of ${object.id}`);
      bytes += object.pages.size * pageBytes;
    }
    claim(bytes === this.usedBytes, `pages have ${bytes} bytes, ${this.usedBytes} are counted`);
  }
  object(id) {
    const object = this.objects.get(id);
    if (object === void 0) throw new TreeError("STALE", `no object ${id}`);
    return object;
  }
  directory(id) {
    const object = this.object(id);
    if (object.kind !== "directory") throw new TreeError("NOTDIR", `${id} is a ${object.kind}`);
    return object;
  }
  file(id) {
    const object = this.object(id);
    if (object.kind === "directory") throw new TreeError("ISDIR", `${id} is a directory`);
    if (object.kind !== "file") throw new TreeError("INVAL", `${id} is a ${object.kind}`);
    return object;
  }
  make(id, object, change, parent) {
    const now = this.now();
    const target = object.kind === "symlink" ? object.target : void 0;
    const made = {
      id,
      kind: object.kind,
      mode: change.mode ?? 0,
      uid: change.uid ?? 0,
      gid: change.gid ?? 0,
      links: object.kind === "directory" ? 2 : 1,
      device: "device" in object ? object.device : void 0,
      atime: change.atime === void 0 || change.atime === "now" ? now : change.atime,
      mtime: change.mtime === void 0 || change.mtime === "now" ? now : change.mtime,
      ctime: now,
      pages: /* @__PURE__ */ new Map(),
      size: target?.length ?? (object.kind === "directory" ? 4096 : 0),
      target,
      entries: /* @__PURE__ */ new Map(),
      nextCookie: 3,
      parent
    };
    if (change.size !== void 0 && object.kind === "file") this.resize(made, change.size);
    return made;
  }
  /** Cuts, or extends with zeros. */
  resize(file2, size) {
    if (size > this.limits.fileSizeMax) throw new TreeError("FBIG", `${size} bytes`);
    const last = Math.floor(size / pageBytes);
    for (const number of [...file2.pages.keys()]) if (number > last || number * pageBytes === size) this.dropPage(file2, number);
    file2.pages.get(last)?.fill(0, size % pageBytes);
    file2.size = size;
  }
  dropPage(file2, number) {
    if (file2.pages.delete(number)) this.usedBytes -= pageBytes;
  }
  enter(directory2, name, id) {
    directory2.entries.set(name, { id, cookie: directory2.nextCookie });
    directory2.nextCookie += 1;
    directory2.mtime = directory2.ctime = this.now();
  }
  leave(directory2, name) {
    directory2.entries.delete(name);
    directory2.mtime = directory2.ctime = this.now();
  }
  /** Takes a name from an object, and the object away with its last. */
  unlink(object) {
    object.links -= 1;
    object.ctime = this.now();
    if (object.kind === "directory") this.object(object.parent).links -= 1;
    else if (object.links > 0) return;
    this.resize(object, 0);
    this.objects.delete(object.id);
  }
  countLink(object, more) {
    if (object.links + more > this.limits.linkMax) throw new TreeError("MLINK", `object ${object.id}`);
    object.links += more;
  }
  checkReplacing(object, replaced) {
    if (object.kind === "directory" && replaced.kind !== "directory") throw new TreeError("NOTDIR", "a directory replaces directories only");
    if (object.kind !== "directory" && replaced.kind === "directory") throw new TreeError("ISDIR", "only a directory replaces a directory");
    if (replaced.entries.size > 0) throw new TreeError("NOTEMPTY", "the directory to be replaced is not empty");
  }
  isWithin(directory2, ancestor) {
    for (let id = directory2; ; id = this.directory(id).parent) {
      if (id === ancestor) return true;
      if (id === this.root) return false;
    }
  }
  /** Later than every time given before, so that each change shows in the ctime. */
  now() {
    const now = this.clock.now();
    const time = { seconds: Math.floor(now / 1e3), nanoseconds: now % 1e3 * 1e6 };
    const { seconds, nanoseconds } = this.lastTime;
    const later = time.seconds > seconds || time.seconds === seconds && time.nanoseconds > nanoseconds;
    if (later) this.lastTime = time;
    else this.lastTime = nanoseconds === 999999999 ? { seconds: seconds + 1, nanoseconds: 0 } : { seconds, nanoseconds: nanoseconds + 1 };
    return this.lastTime;
  }
};
function* pieces(offset, length) {
  for (let at = 0; at < length; ) {
    const start = (offset + at) % pageBytes;
    const part = Math.min(pageBytes - start, length - at);
    yield { page: Math.floor((offset + at) / pageBytes), start, at, length: part };
    at += part;
  }
}
function checked(name) {
  if (name.length > nameMax) throw new TreeError("NAMETOOLONG", `${name.length} bytes`);
  if (name === "" || name === "." || name === ".." || /[/\0]|[^\0-\xff]/.test(name)) throw new TreeError("BADNAME", JSON.stringify(name));
  return name;
}
function claim(truth, what) {
  if (!truth) throw new Error(`inconsistent tree: ${what}`);
}

// test/support/nfs-farm.ts
var testKey = Buffer.from("a farm secret of thirty-two bytes");
var loopback = ipv4("127.0.0.1");
function singleExport(tree, client = loopback, owner = 7) {
  return {
    mount: (from, path) => from === client ? { owner, tree, within: path } : void 0,
    view: (asked, generation, from) => asked === owner && generation === tree.generation && from === client ? tree : void 0,
    paths: (from) => from === client ? ["/"] : []
  };
}

// test/support/rpc-client.ts
import { connect } from "node:net";
var rootUser = { uid: 0, gid: 0 };
function encodeCall(options, args = () => {
}) {
  const writer = new ByteWriter();
  writer.u32(options.xid);
  writer.u32(0);
  writer.u32(options.rpcVersion ?? 2);
  writer.u32(options.program);
  writer.u32(options.version);
  writer.u32(options.procedure);
  const { user } = options;
  writer.u32(user === void 0 ? 0 : 1);
  const body = new ByteWriter();
  if (user !== void 0) {
    body.u32(0);
    writeString(body, "tester");
    body.u32(user.uid);
    body.u32(user.gid);
    body.u32(user.gids?.length ?? 0);
    for (const gid of user.gids ?? []) body.u32(gid);
  }
  writeOpaque(writer, body.bytes());
  writer.u32(0);
  writer.u32(0);
  args(writer);
  return writer.bytes();
}
function marked(message) {
  const header = Buffer.alloc(4);
  header.writeUInt32BE((2147483648 | message.length) >>> 0);
  return Buffer.concat([header, message]);
}
function decodeReply(message) {
  const results = new ByteReader(message);
  const xid = results.u32();
  if (results.u32() !== 1) throw new Error("not a reply");
  const denied = results.u32() === 1;
  if (!denied) {
    results.u32();
    results.skip(results.u32());
  }
  return { xid, denied, status: results.u32(), results };
}
async function tcpExchange(port, host = "127.0.0.1") {
  const socket = connect({ port, host });
  const waiting = /* @__PURE__ */ new Map();
  const records = new RecordReader(2 ** 30);
  await new Promise((resolve2, reject) => {
    socket.once("connect", resolve2);
    socket.once("error", reject);
  });
  socket.setNoDelay(true);
  socket.on("error", () => {
  });
  socket.on("data", (chunk) => {
    records.push(chunk);
    for (let record = records.next(); record !== void 0; record = records.next()) {
      const xid = record.readUInt32BE(0);
      waiting.get(xid)?.resolve(record);
      waiting.delete(xid);
    }
  });
  socket.on("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("connection closed"));
    waiting.clear();
  });
  const exchange = (message) => new Promise((resolve2, reject) => {
    waiting.set(message.readUInt32BE(0), { resolve: resolve2, reject });
    socket.write(marked(message));
  });
  return { exchange, socket, close: () => socket.destroy() };
}

// test/support/nfs3-client.ts
var nfsProgram2 = 100003;
var mountProgram2 = 100005;
var lastXid = 1;
var Nfs3Client = class _Nfs3Client {
  exchange;
  user;
  constructor(exchange, user = rootUser) {
    this.exchange = exchange;
    this.user = user;
  }
  /** The same server as another user; undefined is AUTH_NONE. */
  as(user) {
    const other = new _Nfs3Client(this.exchange);
    return Object.assign(other, { user });
  }
  async call(program, procedure2, args) {
    lastXid += 1;
    const reply = decodeReply(await this.exchange(encodeCall({ xid: lastXid, program, version: 3, procedure: procedure2, user: this.user }, args)));
    if (reply.denied || reply.status !== 0) throw new Error(`RPC refused: ${reply.status}`);
    return reply.results;
  }
  nfs(procedure2, args) {
    return this.call(nfsProgram2, procedure2, args);
  }
  async mount(path) {
    const from = await this.call(mountProgram2, 1, (to) => writeString(to, path));
    const status = from.u32();
    return status === 0 ? { status, handle: readOpaque(from, 64), flavors: Array.from({ length: from.u32() }, () => from.u32()) } : { status };
  }
  async getattr(handle) {
    const from = await this.nfs(1, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: status === 0 ? readFattr(from) : void 0 };
  }
  async setattr(handle, change, guard) {
    const from = await this.nfs(2, (to) => {
      writeOpaque(to, handle);
      writeSattr(to, change);
      writeBool(to, guard !== void 0);
      if (guard !== void 0) writeTime2(to, guard);
    });
    return { status: from.u32(), wcc: readWcc(from) };
  }
  async lookup(directory2, name) {
    const from = await this.nfs(3, (to) => writeNameAt(to, directory2, name));
    const status = from.u32();
    if (status !== 0) return { status, directory: readPost(from) };
    return { status, handle: readOpaque(from, 64), object: readPost(from), directory: readPost(from) };
  }
  async access(handle, bits) {
    const from = await this.nfs(4, (to) => {
      writeOpaque(to, handle);
      to.u32(bits);
    });
    const status = from.u32();
    return { status, attributes: readPost(from), granted: status === 0 ? from.u32() : void 0 };
  }
  async readlink(handle) {
    const from = await this.nfs(5, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: readPost(from), target: status === 0 ? readString(from, 4096) : void 0 };
  }
  async read(handle, offset, count) {
    const from = await this.nfs(6, (to) => {
      writeOpaque(to, handle);
      writeHyper(to, offset);
      to.u32(count);
    });
    const status = from.u32();
    const attributes = readPost(from);
    if (status !== 0) return { status, attributes };
    return { status, attributes, count: from.u32(), endOfFile: readBool(from), data: readOpaque(from, from.left) };
  }
  async write(handle, offset, data, stable = 0, count = data.length) {
    const from = await this.nfs(7, (to) => {
      writeOpaque(to, handle);
      writeHyper(to, offset);
      to.u32(count);
      to.u32(stable);
      writeOpaque(to, data);
    });
    const status = from.u32();
    const wcc = readWcc(from);
    if (status !== 0) return { status, wcc };
    return { status, wcc, count: from.u32(), committed: from.u32(), verifier: readFixedOpaque(from, 8) };
  }
  create(directory2, name, change = {}, mode = "unchecked") {
    return this.make(8, directory2, name, (to) => {
      to.u32(mode === "unchecked" ? 0 : 1);
      writeSattr(to, change);
    });
  }
  createExclusive(directory2, name, verifier) {
    return this.make(8, directory2, name, (to) => {
      to.u32(2);
      to.put(verifier);
    });
  }
  mkdir(directory2, name, change = {}) {
    return this.make(9, directory2, name, (to) => writeSattr(to, change));
  }
  symlink(directory2, name, target, change = {}) {
    return this.make(10, directory2, name, (to) => {
      writeSattr(to, change);
      writeString(to, target);
    });
  }
  mknod(directory2, name, kind, device = [0, 0], change = {}) {
    return this.make(11, directory2, name, (to) => {
      to.u32(kind);
      if (kind < 3 || kind === 5) return;
      writeSattr(to, change);
      if (kind === 3 || kind === 4) for (const part of device) to.u32(part);
    });
  }
  async make(procedure2, directory2, name, more) {
    const from = await this.nfs(procedure2, (to) => {
      writeNameAt(to, directory2, name);
      more(to);
    });
    const status = from.u32();
    if (status !== 0) return { status, wcc: readWcc(from) };
    return { status, handle: readOptional(from, (of) => readOpaque(of, 64)), object: readPost(from), wcc: readWcc(from) };
  }
  async remove(directory2, name) {
    const from = await this.nfs(12, (to) => writeNameAt(to, directory2, name));
    return { status: from.u32(), wcc: readWcc(from) };
  }
  async rmdir(directory2, name) {
    const from = await this.nfs(13, (to) => writeNameAt(to, directory2, name));
    return { status: from.u32(), wcc: readWcc(from) };
  }
  async rename(from, name, to, newName) {
    const results = await this.nfs(14, (writer) => {
      writeNameAt(writer, from, name);
      writeNameAt(writer, to, newName);
    });
    return { status: results.u32(), from: readWcc(results), to: readWcc(results) };
  }
  async link(file2, directory2, name) {
    const from = await this.nfs(15, (to) => {
      writeOpaque(to, file2);
      writeNameAt(to, directory2, name);
    });
    return { status: from.u32(), attributes: readPost(from), wcc: readWcc(from) };
  }
  async readdir(directory2, cookie = 0, count = 65536) {
    const from = await this.nfs(16, (to) => {
      writeOpaque(to, directory2);
      writeHyper(to, cookie);
      to.zeros(8);
      to.u32(count);
    });
    return readList(from, (of) => ({ id: readHyper(of), name: readString(of, 255), cookie: readHyper(of) }));
  }
  async readdirplus(directory2, cookie = 0, directoryCount = 65536, count = 65536) {
    const from = await this.nfs(17, (to) => {
      writeOpaque(to, directory2);
      writeHyper(to, cookie);
      to.zeros(8);
      to.u32(directoryCount);
      to.u32(count);
    });
    return readList(from, (of) => ({
      id: readHyper(of),
      name: readString(of, 255),
      cookie: readHyper(of),
      attributes: readPost(of),
      handle: readOptional(of, (inner) => readOpaque(inner, 64))
    }));
  }
  async fsstat(handle) {
    const from = await this.nfs(18, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: readPost(from), numbers: Array.from({ length: status === 0 ? 6 : 0 }, () => readHyper(from)) };
  }
  async fsinfo(handle) {
    const from = await this.nfs(19, (to) => writeOpaque(to, handle));
    const status = from.u32();
    const attributes = readPost(from);
    const sizes = Array.from({ length: 7 }, () => from.u32());
    return { status, attributes, sizes, fileSizeMax: readHyper(from), timeDelta: [from.u32(), from.u32()], properties: from.u32() };
  }
  async pathconf(handle) {
    const from = await this.nfs(20, (to) => writeOpaque(to, handle));
    return { status: from.u32(), attributes: readPost(from), linkMax: from.u32(), nameMax: from.u32(), flags: Array.from({ length: 4 }, () => readBool(from)) };
  }
  async commit(file2) {
    const from = await this.nfs(21, (to) => {
      writeOpaque(to, file2);
      writeHyper(to, 0);
      to.u32(0);
    });
    const status = from.u32();
    return { status, wcc: readWcc(from), verifier: status === 0 ? readFixedOpaque(from, 8) : void 0 };
  }
};
function writeNameAt(writer, directory2, name) {
  writeOpaque(writer, directory2);
  writeString(writer, name);
}
function writeTime2(writer, time) {
  writer.u32(time.seconds);
  writer.u32(time.nanoseconds);
}
function writeSattr(writer, change) {
  for (const value of [change.mode, change.uid, change.gid]) {
    writeBool(writer, value !== void 0);
    if (value !== void 0) writer.u32(value);
  }
  writeBool(writer, change.size !== void 0);
  if (change.size !== void 0) writeHyper(writer, change.size);
  for (const time of [change.atime, change.mtime]) {
    writer.u32(time === void 0 ? 0 : time === "now" ? 1 : 2);
    if (time !== void 0 && time !== "now") writeTime2(writer, time);
  }
}
var readTime2 = (from) => ({ seconds: from.u32(), nanoseconds: from.u32() });
function readFattr(from) {
  return {
    kind: from.u32(),
    mode: from.u32(),
    links: from.u32(),
    uid: from.u32(),
    gid: from.u32(),
    size: readHyper(from),
    used: readHyper(from),
    device: [from.u32(), from.u32()],
    fsid: [from.u32(), from.u32()],
    id: readHyper(from),
    atime: readTime2(from),
    mtime: readTime2(from),
    ctime: readTime2(from)
  };
}
function readPost(from) {
  return readOptional(from, readFattr);
}
function readWcc(from) {
  const before = readOptional(from, (of) => ({ size: readHyper(of), mtime: readTime2(of), ctime: readTime2(of) }));
  return { before, after: readPost(from) };
}
function readList(from, readEntry) {
  const status = from.u32();
  const bytes = from.left;
  const attributes = readPost(from);
  if (status !== 0) return { status, attributes, entries: [], endOfDirectory: false, bytes };
  const verifier = readFixedOpaque(from, 8);
  const entries = [];
  while (readBool(from)) entries.push(readEntry(from));
  return { status, attributes, verifier, entries, endOfDirectory: readBool(from), bytes };
}

// bench/nfs-rpc.ts
var files = 256;
var fileBytes = 1024 * 1024;
var readOf = (bytes) => ({
  name: `READ ${bytes / 1024}K`,
  procedure: 6,
  args: (writer, file2, _root, index) => {
    writeOpaque(writer, file2);
    writeHyper(writer, index * 7 % (fileBytes / bytes) * bytes);
    writer.u32(bytes);
  }
});
var loads = [
  { name: "NULL", procedure: 0, args: () => {
  } },
  { name: "GETATTR", procedure: 1, args: (writer, file2) => writeOpaque(writer, file2) },
  {
    name: "LOOKUP",
    procedure: 3,
    args: (writer, _file, root, index) => {
      writeOpaque(writer, root);
      writeString(writer, `file-${index % files}`);
    }
  },
  {
    name: "ACCESS",
    procedure: 4,
    args: (writer, file2) => {
      writeOpaque(writer, file2);
      writer.u32(63);
    }
  },
  readOf(4096),
  readOf(32768),
  readOf(131072),
  readOf(1048576),
  {
    name: "WRITE 32K",
    procedure: 7,
    args: (writer, file2, _root, index) => {
      writeOpaque(writer, file2);
      writeHyper(writer, index * 7 % 32 * 32768);
      writer.u32(32768);
      writer.u32(0);
      writeOpaque(writer, Buffer.alloc(32768, index));
    }
  },
  {
    name: "READDIRPLUS",
    procedure: 17,
    args: (writer, _file, root) => {
      writeOpaque(writer, root);
      writer.zeros(16);
      writer.u32(8192);
      writer.u32(32768);
    }
  }
];
async function serve() {
  const tree = new MemoryTree({ totalBytes: 2 ** 31 });
  for (let index = 0; index < files; index += 1) {
    const id = tree.create(tree.root, `file-${index}`, { kind: "file" }, { mode: 420 });
    if (index < 32) tree.write(id, 0, Buffer.alloc(fileBytes, index));
  }
  const service = await startNfsServer({
    address: loopback,
    port: 0,
    portmap: false,
    exports: singleExport(tree),
    key: testKey,
    log: silentLog,
    clock: { now: () => Date.now() }
  });
  process.on("message", () => process.send?.({ cpu: cpuUsage() }));
  process.on("disconnect", () => void service.close().then(() => process.exit(0)));
  process.send?.({ port: service.port });
}
async function run() {
  const [seconds = 3, connections = 8, depth = 8] = process.argv.slice(2).map(Number);
  const child = fork(fileURLToPath(import.meta.url), ["serve"], { execArgv: process.env["SERVER_FLAGS"]?.split(" ") ?? [] });
  const ask = (question) => new Promise((resolve2) => {
    child.once("message", (message) => resolve2(message));
    if (question !== void 0) child.send(question);
  });
  const { port } = await ask();
  const first = await tcpExchange(port);
  const client = new Nfs3Client(first.exchange);
  const { handle: root } = await client.mount("/");
  if (root === void 0) throw new Error(`program ${mountProgram2} gave no handle`);
  const handles = [];
  for (let index = 0; index < 32; index += 1) handles.push((await client.lookup(root, `file-${index}`)).handle ?? root);
  first.close();
  console.log(`${connections} connections x ${depth} calls, ${seconds} s each; "per core" is calls per second of the server's own CPU time`);
  for (const load of loads) {
    const before = await ask("cpu");
    const runs = Array.from({ length: connections }, () => drive(port, load, root, handles, depth, seconds));
    const results = await Promise.all(runs);
    const after = await ask("cpu");
    const calls = results.reduce((sum, { calls: count }) => sum + count, 0);
    const bytes = results.reduce((sum, { bytes: count }) => sum + count, 0);
    const cpu = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1e6;
    const rate = (value) => Math.round(value).toLocaleString("en").padStart(9);
    console.log(`${load.name.padEnd(12)} ${rate(calls / seconds)} calls/s ${rate(calls / cpu)} per core ${rate(bytes / seconds / 1e6)} MB/s`);
  }
  child.disconnect();
}
async function drive(port, load, root, handles, depth, seconds) {
  const messages = Array.from({ length: 64 }, (_, index) => {
    const call = { xid: index, program: nfsProgram2, version: 3, procedure: load.procedure, user: rootUser };
    return marked(encodeCall(call, (writer) => load.args(writer, handles[index % handles.length] ?? root, root, index)));
  });
  const socket = connect2({ port, host: "127.0.0.1" });
  await new Promise((resolve2) => socket.once("connect", resolve2));
  socket.setNoDelay(true);
  const records = new RecordReader(2 ** 30);
  let calls = 0;
  let bytes = 0;
  let xid = 1;
  const next = () => {
    const message = Buffer.from(messages[xid % messages.length] ?? Buffer.alloc(0));
    message.writeUInt32BE(xid, 4);
    xid += 1;
    return message;
  };
  const end = Date.now() + seconds * 1e3;
  socket.write(Buffer.concat(Array.from({ length: depth }, next)));
  await new Promise((resolve2) => {
    socket.on("close", () => resolve2());
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      records.push(chunk);
      const more = [];
      for (let reply = records.next(); reply !== void 0; reply = records.next()) {
        if (reply.length > 24 && load.procedure !== 0 && reply.readUInt32BE(24) !== 0) throw new Error(`${load.name}: status ${reply.readUInt32BE(24)}`);
        calls += 1;
        more.push(next());
      }
      if (Date.now() >= end) socket.destroy();
      else if (more.length > 0) socket.write(more.length === 1 ? more[0] ?? chunk : Buffer.concat(more));
    });
  });
  return { calls, bytes };
}
await (process.argv[2] === "serve" ? serve() : run());
