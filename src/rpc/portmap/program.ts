// The port mapper, program 100000: version 2 (RFC 1833 3) and rpcbind, versions 3 and 4 (RFC 1833 2).
import type { Ipv4 } from '../../base/addresses.ts';
import type { ByteReader, ByteWriter } from '../../base/bytes.ts';
import type { Body } from '../message.ts';
import { type Caller, nullProcedure, type Procedure, type Program, type Transport } from '../program.ts';
import { readString, writeBool, writeList, writeString } from '../xdr.ts';
import { findMapping, type Mapping, mappingsOf, portmapPort, portmapProgram, protocolNumbers, universalAddress } from './mappings.ts';

/** Netids, addresses and owners are short; longer strings are garbage. */
const wordMax = 256;

/** nc_semantics of netconfig(5): tpi_cots_ord and tpi_clts. */
const semantics: Readonly<Record<Transport, number>> = { tcp: 3, udp: 1 };

/** Everything that is registered here was by root. */
const owner = 'superuser';

export interface Registry {
  /** Where every mapping's port is. */
  readonly address: Ipv4;
  readonly mappings: readonly Mapping[];
  /** Unix time in milliseconds, for GETTIME. */
  readonly now: () => number;
}

type Run = Procedure['run'];

const define = (name: string, run: Run): Procedure => ({ name, once: false, run });

/** Nobody registers here over the network. */
const refused: Run = () => ({ encode: (writer) => writeBool(writer, false) });

/**
 * The program that knows the registry's mappings and itself. What calls other programs on behalf of its caller (CALLIT, BCAST, INDIRECT) is
 * PROC_UNAVAIL: it has a record as an amplifier and hides who calls.
 */
export function portmap({ address, mappings, now }: Registry, ownPort = portmapPort): Program {
  const versions = new Map<number, readonly (Procedure | undefined)[]>();
  const program: Program = { number: portmapProgram, versions };
  const set = define('SET', refused);
  const unset = define('UNSET', refused);
  const all: Mapping[] = [];
  const known: Registry = { address, mappings: all, now };
  versions.set(2, [nullProcedure, set, unset, define('GETPORT', getPort(known)), define('DUMP', dumpPorts(known))]);
  const rpcbind = [nullProcedure, set, unset, define('GETADDR', getAddress(known)), define('DUMP', dump(known)), undefined, define('GETTIME', getTime(known))];
  versions.set(3, rpcbind);
  const more = [undefined, undefined, define('GETVERSADDR', getVersionAddress(known)), undefined, define('GETADDRLIST', getAddressList(known))];
  versions.set(4, [...rpcbind, ...more]);
  all.push(...mappingsOf([program], ['tcp', 'udp'], ownPort), ...mappings);
  return program;
}

function getPort({ mappings }: Registry): Run {
  return (_caller, args) => {
    const program = args.u32();
    const version = args.u32();
    const protocol = args.u32();
    args.u32(); // the port, which the caller wants to know
    const transport = (['tcp', 'udp'] as const).find((word) => protocolNumbers[word] === protocol);
    const port = findMapping(mappings, program, version, transport)?.port ?? 0;
    return { encode: (writer) => writer.u32(port) };
  };
}

function dumpPorts({ mappings }: Registry): Run {
  return () =>
    listBody(mappings, (writer, { program, version, transport, port }) => {
      for (const word of [program, version, protocolNumbers[transport], port]) writer.u32(word);
    });
}

/** The transport that is asked for is the one that is asked over, whatever the argument says (RFC 1833 2.2.1). */
function getAddress({ address, mappings }: Registry): Run {
  return ({ transport }, args) => {
    const { program, version } = readRpcb(args);
    return addressBody(address, findMapping(mappings, program, version, transport));
  };
}

function getVersionAddress({ address, mappings }: Registry): Run {
  return ({ transport }, args) => {
    const { program, version } = readRpcb(args);
    const found = findMapping(mappings, program, version, transport);
    return addressBody(address, found?.version === version ? found : undefined);
  };
}

/** rpcb_entry_list: every transport that a version has. */
function getAddressList({ address, mappings }: Registry): Run {
  return (_caller: Caller, args) => {
    const { program, version } = readRpcb(args);
    const found = mappings.filter((mapping) => mapping.program === program && mapping.version === version);
    return listBody(found, (writer, { transport, port }) => {
      writeString(writer, universalAddress(address, port));
      writeString(writer, transport);
      writer.u32(semantics[transport]);
      writeString(writer, 'inet');
      writeString(writer, transport);
    });
  };
}

/** rpcblist */
function dump({ address, mappings }: Registry): Run {
  return () =>
    listBody(mappings, (writer, { program, version, transport, port }) => {
      writer.u32(program);
      writer.u32(version);
      for (const word of [transport, universalAddress(address, port), owner]) writeString(writer, word);
    });
}

function getTime({ now }: Registry): Run {
  return () => {
    const seconds = Math.floor(now() / 1000) >>> 0;
    return { encode: (writer) => writer.u32(seconds) };
  };
}

/** struct rpcb */
function readRpcb(args: ByteReader): { readonly program: number; readonly version: number } {
  const program = args.u32();
  const version = args.u32();
  for (const _ of ['netid', 'address', 'owner']) readString(args, wordMax);
  return { program, version };
}

/** Empty for a program that is not here. */
function addressBody(address: Ipv4, mapping: Mapping | undefined): Body {
  return { encode: (writer) => writeString(writer, mapping === undefined ? '' : universalAddress(address, mapping.port)) };
}

function listBody<Entry>(entries: readonly Entry[], write: (writer: ByteWriter, entry: Entry) => void): Body {
  return { encode: (writer) => writeList(writer, entries, write) };
}
