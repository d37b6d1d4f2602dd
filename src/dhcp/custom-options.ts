// DHCP options as people write them in farm.yaml, by name or number, checked and made into bytes (option-values.ts says how).
import { FarmError } from '../base/errors.ts';
import { knownOption, knownOptions, type OptionType, optionName } from './known-options.ts';
import { isOptionType, optionBytes, optionTypes } from './option-values.ts';
import type { CustomOption } from './questions.ts';

/** Options that nobody but the server can fill, and why. */
export const ownedOptions: ReadonlyMap<number, string> = new Map([
  [0, 'it is padding'],
  [1, 'it follows from the network’s address'],
  [12, 'it is the node’s name'],
  [50, 'clients send it'],
  [51, 'set lease_time instead'],
  [52, 'boot ROMs misread it'],
  [53, 'it says which message this is'],
  [54, 'it is the server’s address'],
  [55, 'clients send it'],
  [56, 'it is for refusals'],
  [57, 'clients send it'],
  [60, 'it has to say what the client’s firmware said'],
  [61, 'clients send it'],
  [77, 'clients send it'],
  [80, 'it answers the client’s own'],
  [81, 'clients send it'],
  [82, 'relays send it'],
  [90, 'there are no keys for it'],
  [93, 'clients send it'],
  [94, 'clients send it'],
  [97, 'clients send it'],
  [118, 'clients send it'],
  [128, 'Etherboot gets it from the farm'],
  [175, 'iPXE gets it from the farm'],
  [255, 'it ends the list'],
]);

/** What one datagram holds beside everything else that boots a machine. */
const longestValue = 1024;
const privateUse = 'name its code and type, e.g. vendor-x: { code: 224, type: u16, value: 5 }';

interface Written {
  readonly code: number;
  readonly type: OptionType;
  readonly value: unknown;
  readonly always: boolean;
}

/**
 * `value` as YAML gives it: a scalar, a list, or `{ code, type, value, always }` with at least a value. Without a type it is that of the option;
 * for an option that is not known, text, or bytes if it begins with `hex:`.
 * Throws `FarmError` `dhcp.option` for a name, number, type or value that cannot be.
 */
export function parseCustomOption(nameOrNumber: string, value: unknown): CustomOption {
  const { code, type, value: plain, always } = writtenOption(nameOrNumber, value);
  const owned = ownedOptions.get(code);
  if (owned !== undefined) throw refusal(nameOrNumber, `option ${optionName(code)} cannot be set: ${owned}`, 'leave it out');
  const bytes = optionBytes(type, plain);
  if (typeof bytes === 'string') throw refusal(nameOrNumber, `option ${named(nameOrNumber, code)} ${bytes}`, `its type is ${type}: ${optionTypes[type]}`);
  if (bytes.length > longestValue) throw refusal(nameOrNumber, `option ${named(nameOrNumber, code)} has ${bytes.length} bytes`, `${longestValue} are possible`);
  return { code, value: bytes, always };
}

function refusal(nameOrNumber: string, message: string, hint: string): FarmError {
  return new FarmError('dhcp.option', message, `${hint} (options: ${nameOrNumber})`);
}

function named(nameOrNumber: string, code: number): string {
  return /^\d+$/.test(nameOrNumber) || knownOption(nameOrNumber) !== undefined ? optionName(code) : `${nameOrNumber}(${code})`;
}

function writtenOption(nameOrNumber: string, value: unknown): Written {
  const { code: written, type, value: plain, always = false, ...unknown } = isMapping(value) ? value : { value };
  const surplus = Object.keys(unknown)[0];
  if (surplus !== undefined) throw refusal(nameOrNumber, `an option has no "${surplus}"`, 'it may have code, type, value and always');
  if (typeof always !== 'boolean') throw refusal(nameOrNumber, '"always" is true or false', 'true sends it to clients that do not ask for it');
  const code = codeOf(nameOrNumber, written);
  return { code, type: typeOf(nameOrNumber, code, type, plain), value: plain, always };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function codeOf(nameOrNumber: string, written: unknown): number {
  const number = /^\d{1,3}$/.test(nameOrNumber) ? Number(nameOrNumber) : undefined;
  const own = number ?? knownOption(nameOrNumber)?.code;
  if (written !== undefined && own !== undefined && written !== own) {
    throw refusal(nameOrNumber, `option "${nameOrNumber}" has the code ${own}`, `leave out "code", or take a name that is not ${optionName(own)}’s`);
  }
  const code = own ?? written;
  if (code === undefined) throw refusal(nameOrNumber, `there is no option "${nameOrNumber}"`, privateUse);
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code > 255) {
    throw refusal(nameOrNumber, `${JSON.stringify(code)} is no option code`, 'codes are from 1 to 254');
  }
  return code;
}

function typeOf(nameOrNumber: string, code: number, written: unknown, value: unknown): OptionType {
  if (written !== undefined) {
    if (typeof written === 'string' && isOptionType(written)) return written;
    throw refusal(nameOrNumber, `${JSON.stringify(written)} is no type of option`, `types are ${Object.keys(optionTypes).join(', ')}`);
  }
  const known = knownOption(code);
  if (known !== undefined) return known.type;
  if (typeof value !== 'string') throw refusal(nameOrNumber, `the type of option ${nameOrNumber} is not known`, privateUse);
  return value.startsWith('hex:') ? 'hex' : 'text';
}

/** Every name of an option, sorted; those that cannot be set too, so that whoever mistypes one is told why. */
export function optionNames(): readonly string[] {
  return knownOptions.flatMap(({ name, aliases }) => [name, ...aliases]).sort();
}
