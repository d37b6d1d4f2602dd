// Machines from a table with a heading, RFC 4180: name,mac,ip,id,profile,tags,uuid,client_id in any order and choice.
import { parseClientId, parseUuid } from '../identifiers.ts';
import type { NewNode } from '../nodes.ts';
import { type Imported, importedAddress, importedMac, invalid } from './imported.ts';

export const csvColumns = ['name', 'id', 'mac', 'ip', 'profile', 'tags', 'uuid', 'client_id'] as const;
type Column = (typeof csvColumns)[number];

/** How others head these columns. */
const synonyms: Readonly<Record<string, Column>> = {
  host: 'name',
  hostname: 'name',
  node: 'name',
  macaddress: 'mac',
  hwaddr: 'mac',
  address: 'ip',
  ipaddress: 'ip',
  ipaddr: 'ip',
  guid: 'uuid',
};

interface Row {
  readonly line: number;
  readonly cells: readonly string[];
}

export function importCsv(text: string, source: string): Imported {
  const [heading, ...rows] = csvRows(text, source).filter(({ cells }) => cells.some((cell) => cell.trim() !== ''));
  if (heading === undefined) throw invalid(source, 'it is empty');
  const columns = heading.cells.map(columnOf);
  if (!columns.some((column) => column === 'mac' || column === 'uuid' || column === 'client_id')) {
    throw invalid(`${source}:${heading.line}`, `expected a heading with mac (of ${csvColumns.join(', ')}), not ${heading.cells.join(',')}`);
  }
  const ignored = heading.cells.filter((_, index) => columns[index] === undefined).map((name) => `column ${name}`);
  return { nodes: rows.map((row) => nodeOf(row, columns, source)), ignored };
}

function columnOf(heading: string): Column | undefined {
  const word = heading.trim().toLowerCase().replace(/[\s-]/g, '_');
  return csvColumns.find((column) => column === word) ?? synonyms[word.replaceAll('_', '')];
}

function nodeOf({ line, cells }: Row, columns: readonly (Column | undefined)[], source: string): NewNode {
  const place = `${source}:${line}`;
  if (cells.length > columns.length) throw invalid(place, `${cells.length} values for ${columns.length} columns`);
  const cell = (wanted: Column): string | undefined => {
    const text = cells[columns.indexOf(wanted)]?.trim();
    return columns.includes(wanted) && text !== '' ? text : undefined;
  };
  const [id, card, ip, uuidText, clientText] = [cell('id'), cell('mac'), cell('ip'), cell('uuid'), cell('client_id')];
  if (id !== undefined && !/^\d{1,5}$/.test(id)) throw invalid(place, `${id} is no node id`);
  const uuid = uuidText === undefined ? undefined : parseUuid(uuidText);
  if (uuidText !== undefined && uuid === undefined) throw invalid(place, `${uuidText} is no GUID`);
  const clientId = clientText === undefined ? undefined : parseClientId(clientText);
  if (clientText !== undefined && clientId === undefined) throw invalid(place, `${clientText} is no client id`);
  return {
    name: cell('name'),
    id: id === undefined ? undefined : Number(id),
    ...(card === undefined ? {} : { mac: importedMac(card, place) }),
    address: ip === undefined ? undefined : importedAddress(ip, place),
    profile: cell('profile'),
    tags: cell('tags')?.split(/[\s;|]+/),
    ...(uuid === undefined ? {} : { uuid }),
    ...(clientId === undefined ? {} : { clientId }),
  };
}

/** RFC 4180 2, with , or ; or tabs between cells, as spreadsheets of different countries write them. */
function csvRows(text: string, source: string): readonly Row[] {
  const body = text.replace(/^\ufeff/, '');
  const first = body.split('\n', 1)[0] ?? '';
  const separator = [',', ';', '\t'].find((each) => first.includes(each)) ?? ',';
  const cellShape = new RegExp(`(?:"((?:[^"]|"")*)"[ ]*|([^"${separator}\\r\\n][^${separator}\\r\\n]*)?)(${separator}|\\r?\\n|$)`, 'y');
  const rows: Row[] = [];
  let cells: string[] = [];
  let line = 1;
  while (cellShape.lastIndex < body.length) {
    const [all, quoted, bare = '', end] = cellShape.exec(body) ?? [];
    if (all === undefined) throw invalid(`${source}:${line}`, 'a quote is not closed, or stands inside a word');
    cells.push(quoted?.replaceAll('""', '"') ?? bare);
    if (end === separator) continue;
    rows.push({ line, cells });
    cells = [];
    line += all.split('\n').length - 1;
  }
  if (cells.length > 0) rows.push({ line, cells: [...cells, ''] });
  return rows;
}

/** One row of a table that `importCsv` reads. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;
}
