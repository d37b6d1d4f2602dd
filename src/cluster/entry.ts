// What a node says of itself, as it travels from member to member: an openMosix information vector's entry. The layout is farm's own.
//
//   id u16 | incarnation u64 | refutation u16 | beat u32 | age u32, ms | flags u8 (bits 0-5: the admin flags in their order, bit 7: measured)
//   guests u16 | version 3 x u8 | speed u32 | cpus u16
//   measured only: load u32 | utilization u16, 1/10,000 | memory 5 x u32, in 4096-byte pages | rates 4 x u32, in 16 bytes a second | pressure 3 x u16, 1/100 %
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { nodeIdMax } from './map.ts';

/** What an administrator has set for a node. `expel`: guests are sent away. Source: openMosix's mosctl(1). */
export interface AdminFlags {
  readonly stay: boolean;
  readonly lstay: boolean;
  readonly block: boolean;
  readonly quiet: boolean;
  readonly nomfs: boolean;
  readonly expel: boolean;
}

/** In the order of their bits. */
export const flagNames = ['stay', 'lstay', 'block', 'quiet', 'nomfs', 'expel'] as const satisfies readonly (keyof AdminFlags)[];

export const noFlags: AdminFlags = { stay: false, lstay: false, block: false, quiet: false, nomfs: false, expel: false };

/** What a node measures of itself once a round. */
export interface Measures {
  /** openMosix load units: 100 = one process that always runs, on a machine that is one standard processor. */
  readonly load: number;
  /** Part of all its processors' time in which they worked, 0..1. */
  readonly utilization: number;
  /** Bytes. `free` is the kernel's MemAvailable, `usable` what a guest may take of it. */
  readonly memory: { readonly total: number; readonly free: number; readonly usable: number; readonly swapTotal: number; readonly swapFree: number };
  /** Bytes a second. */
  readonly rates: { readonly networkIn: number; readonly networkOut: number; readonly diskRead: number; readonly diskWrite: number };
  /** PSI `some avg10`, percent (Documentation/accounting/psi.rst). */
  readonly pressure: { readonly cpu: number; readonly memory: number; readonly io: number };
}

/** What a node says of itself, apart from when. */
export interface Facts {
  readonly flags: AdminFlags;
  /** Processes of other nodes that run here. */
  readonly guests: number;
  /** Of its agent: three numbers of at most 255. */
  readonly version: string;
  /** 10,000 = the standard processor (cluster/load.ts). */
  readonly speed: number;
  /** Processors online, at least 1. */
  readonly cpus: number;
  /** Absent of a quiet node. */
  readonly measures: Measures | undefined;
}

/** What was heard of a node: its facts and which of its words they are. */
export interface Entry {
  /** 1..65535 */
  readonly id: number;
  /** Which start of its agent; larger after each. */
  readonly incarnation: number;
  /** How many rumours of its death it has denied in this incarnation. */
  readonly refutation: number;
  /** Which of its rounds made this; larger each time. */
  readonly beat: number;
  /** Milliseconds since, as far as the sender can tell. */
  readonly age: number;
  readonly facts: Facts;
}

const measuredBit = 0x80;
const u16Max = 0xffff;
const u32Max = 0xffffffff;
const pageBytes = 4096;
const rateUnit = 16;
const bareBytes = 32;
const measuresBytes = 48;

/** How many bytes `writeEntry` takes. */
export function entryBytes(facts: Facts): number {
  return facts.measures === undefined ? bareBytes : bareBytes + measuresBytes;
}

/** Numbers too large for their field become its largest. */
export function writeEntry(writer: ByteWriter, entry: Entry): void {
  const { facts } = entry;
  writer.u16(entry.id);
  writer.u64(BigInt(entry.incarnation));
  writer.u16(Math.min(entry.refutation, u16Max));
  writer.u32(entry.beat);
  writer.u32(whole(entry.age, u32Max));
  writer.u8(flagBits(facts.flags) | (facts.measures === undefined ? 0 : measuredBit));
  writer.u16(whole(facts.guests, u16Max));
  for (const part of versionParts(facts.version)) writer.u8(part);
  writer.u32(whole(facts.speed, u32Max));
  writer.u16(whole(facts.cpus, u16Max));
  if (facts.measures !== undefined) writeMeasures(writer, facts.measures);
}

function writeMeasures(writer: ByteWriter, { load, utilization, memory, rates, pressure }: Measures): void {
  writer.u32(whole(load, u32Max));
  writer.u16(whole(utilization * 10_000, u16Max));
  const { total, free, usable, swapTotal, swapFree } = memory;
  for (const bytes of [total, free, usable, swapTotal, swapFree]) writer.u32(Math.min(Math.floor(bytes / pageBytes), u32Max));
  const { networkIn, networkOut, diskRead, diskWrite } = rates;
  for (const rate of [networkIn, networkOut, diskRead, diskWrite]) writer.u32(whole(rate / rateUnit, u32Max));
  for (const percent of [pressure.cpu, pressure.memory, pressure.io]) writer.u16(whole(percent * 100, u16Max));
}

/** Throws `WireError` `short` or `entry.…`. */
export function readEntry(reader: ByteReader): Entry {
  const id = readId(reader);
  const incarnation = readSafe(reader);
  const refutation = reader.u16();
  const beat = reader.u32();
  const age = reader.u32();
  const bits = reader.u8();
  const guests = reader.u16();
  const version = `${reader.u8()}.${reader.u8()}.${reader.u8()}`;
  const speed = reader.u32();
  const at = reader.offset;
  const cpus = reader.u16();
  if (cpus === 0) throw new WireError('entry.cpus', at, `node ${id} without processors`);
  if (speed === 0) throw new WireError('entry.speed', at - 4, `node ${id} without speed`);
  const measures = (bits & measuredBit) === 0 ? undefined : readMeasures(reader);
  return { id, incarnation, refutation, beat, age, facts: { flags: flagsOf(bits), guests, version, speed, cpus, measures } };
}

function readMeasures(reader: ByteReader): Measures {
  const load = reader.u32();
  const utilization = reader.u16() / 10_000;
  const pages = () => reader.u32() * pageBytes;
  const at = reader.offset;
  const memory = { total: pages(), free: pages(), usable: pages(), swapTotal: pages(), swapFree: pages() };
  if (memory.free > memory.total || memory.usable > memory.total || memory.swapFree > memory.swapTotal) {
    throw new WireError('entry.memory', at, 'more memory free than there is');
  }
  const rate = () => reader.u32() * rateUnit;
  const rates = { networkIn: rate(), networkOut: rate(), diskRead: rate(), diskWrite: rate() };
  const percent = () => reader.u16() / 100;
  return { load, utilization, memory, rates, pressure: { cpu: percent(), memory: percent(), io: percent() } };
}

export function readId(reader: ByteReader): number {
  const id = reader.u16();
  if (id < 1 || id > nodeIdMax) throw new WireError('entry.id', reader.offset - 2, `${id} is not a node id`);
  return id;
}

/** A 64-bit number that JavaScript can hold exactly. */
export function readSafe(reader: ByteReader): number {
  const value = Number(reader.u64());
  if (!Number.isSafeInteger(value)) throw new WireError('entry.range', reader.offset - 8, `${value} is too large`);
  return value;
}

function flagBits(flags: AdminFlags): number {
  return flagNames.reduce((bits, name, bit) => bits | (flags[name] ? 1 << bit : 0), 0);
}

function flagsOf(bits: number): AdminFlags {
  return flagsWhere((name) => (bits & (1 << flagNames.indexOf(name))) !== 0);
}

/** The flags of which `has` is true. */
export function flagsWhere(has: (name: keyof AdminFlags) => boolean): AdminFlags {
  return { stay: has('stay'), lstay: has('lstay'), block: has('block'), quiet: has('quiet'), nomfs: has('nomfs'), expel: has('expel') };
}

/** `1.2.3-beta` as [1, 2, 3]. */
function versionParts(version: string): readonly [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.+-]/, 3).map((part) => whole(Number(part), 255));
  return [major, minor, patch];
}

function whole(value: number, most: number): number {
  return Number.isFinite(value) && value > 0 ? Math.min(Math.round(value), most) : 0;
}
