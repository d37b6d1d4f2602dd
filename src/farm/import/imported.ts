// What an import reads from another program's list of machines.
import { type Ipv4, type Mac, mac, parseIpv4 } from '../../base/addresses.ts';
import { FarmError, sentence } from '../../base/errors.ts';
import type { NewNode } from '../nodes.ts';

export interface Imported {
  readonly nodes: readonly NewNode[];
  /** What the list says and farm has no place for, in sentences with the line or name where it stands. */
  readonly ignored: readonly string[];
}

/** Throws `import.invalid`. `place`: `hosts.csv:3` */
export function importedMac(text: string, place: string): Mac {
  try {
    return mac(text);
  } catch (error) {
    throw invalid(place, sentence(error));
  }
}

export function importedAddress(text: string, place: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) throw invalid(place, `${text} is not an IPv4 address`);
  return address;
}

export function invalid(place: string, why: string): FarmError {
  return new FarmError('import.invalid', `${place}: ${why}`, 'correct it there, or name another --format; nothing was imported');
}

/** A host name for farm from what others allow: `N1_a.lab.example` is `N1-a`. */
export function hostName(text: string): string {
  return (text.split('.')[0] ?? '').replaceAll('_', '-');
}

/** Tags of ours from any texts, at most 63 characters of each; none of a text without a letter or digit. */
export function tagNames(texts: readonly string[]): readonly string[] {
  return texts
    .map((text) =>
      text
        .replace(/[^a-z0-9_-]+/gi, '-')
        .replace(/^[-_]+/, '')
        .slice(0, 63),
    )
    .filter((tag) => tag !== '');
}
