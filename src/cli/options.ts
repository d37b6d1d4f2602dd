// What several commands share: finding the farm, reading addresses from arguments, tables.
import { type Command, InvalidArgumentError } from 'commander';
import { type Cidr, type Ipv4, parseCidr, parseIpv4 } from '../base/addresses.ts';
import { findFarmDirectory } from '../farm/directory.ts';
import { parseClientId, parseRelayId, parseUuid } from '../farm/identifiers.ts';

/** The farm directory for a command: -C, FARM_DIR, or upwards from here. */
export function farmDirectory(command: Command): string {
  const { directory } = command.optsWithGlobals<{ directory?: string }>();
  return findFarmDirectory(directory, process.env['FARM_DIR'], process.cwd());
}

export function ipv4Argument(text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) throw new InvalidArgumentError('Write an IPv4 address such as 10.11.0.7.');
  return address;
}

export function cidrArgument(text: string): Cidr {
  const address = parseCidr(text);
  if (address === undefined) throw new InvalidArgumentError('Write an address with prefix length such as 10.11.0.1/24.');
  return address;
}

/** A whole number from `least` to `most`. */
export function numberArgument(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
    return value;
  };
}

export function uuidArgument(text: string): string {
  return parseUuid(text) ?? refuse('Write a GUID such as 4c4c4544-0035-3010-8054-b4c04f4e4431, not of zeros or ones only.');
}

export function clientIdArgument(text: string): Buffer {
  return parseClientId(text) ?? refuse('Write option 61 in hex, two bytes at least, such as 01:52:54:00:12:34:56, or text:NAME.');
}

export function relayIdArgument(text: string): Buffer {
  return parseRelayId(text) ?? refuse('Write text, or hex: before hex digits, 1 to 255 bytes.');
}

function refuse(remedy: string): never {
  throw new InvalidArgumentError(remedy);
}

/** Columns as wide as their widest cell, two blanks apart. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()
        .concat('\n'),
    )
    .join('');
}
