// Which program a list of machines is from, and reading it.
import { importCsv } from './csv.ts';
import { importDhcpd } from './dhcpd.ts';
import { importDnsmasq } from './dnsmasq.ts';
import type { Imported } from './imported.ts';
import { importWarewulf, importYaml } from './yaml.ts';

const readers = { csv: importCsv, yaml: importYaml, json: importYaml, dhcpd: importDhcpd, dnsmasq: importDnsmasq, warewulf: importWarewulf } as const;
export type ImportFormat = keyof typeof readers;
export const importFormats = ['csv', 'yaml', 'json', 'dhcpd', 'dnsmasq', 'warewulf'] as const satisfies readonly ImportFormat[];

/** Throws `import.invalid`. `source` names the file in messages. */
export function importNodes(text: string, source: string, format: ImportFormat): Imported {
  return readers[format](text, source);
}

/** By what stands in it. */
export function formatOf(text: string): ImportFormat {
  if (/^\s*[{[]/.test(text)) return 'json';
  if (/^\s*(?:--)?dhcp-(?:host|range|option)\s*=/m.test(text)) return 'dnsmasq';
  if (/\bhost\s+\S+\s*\{[^}]*hardware\s+ethernet/.test(text)) return 'dhcpd';
  if (/^nodeprofiles:/m.test(text) || /^\s+network devices:/m.test(text)) return 'warewulf';
  if (/^\s*(?:nodes:|[a-z][\w-]*:\s*(?:\{|$))/im.test(text)) return 'yaml';
  return 'csv';
}
