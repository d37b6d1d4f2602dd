// A recording of NFS operations, as text: paths, each once, then the operations in their order. `record.mjs` makes one, `load.mjs` plays it.
import { readFileSync } from 'node:fs';

const title = 'NFS recording 1';

/**
 * `operations`: { operation, path, name (lookup), offset and bytes (read) }, in the order they were asked.
 *
 *     NFS recording 1
 *     path /usr/bin/env              numbered from 0 in the order they stand
 *     lookup 12 env                  operation, number of the path, name
 *     read 13 0 69632                operation, number of the path, offset, bytes
 */
export function formatRecording(operations) {
  const numbers = new Map();
  for (const { path } of operations) if (!numbers.has(path)) numbers.set(path, numbers.size);
  const lines = operations.map(({ operation, path, name, offset, bytes }) =>
    [operation, numbers.get(path), ...(operation === 'lookup' ? [name] : operation === 'read' ? [offset, bytes] : [])].join(' '),
  );
  return `${[title, ...[...numbers.keys()].map((path) => `path ${path}`), ...lines].join('\n')}\n`;
}

export function readRecording(file) {
  const [first, ...lines] = readFileSync(file, 'latin1').trimEnd().split('\n');
  if (first !== title) throw new Error(`${file} is no ${title}`);
  const paths = [];
  const operations = [];
  for (const line of lines) {
    const [operation, rest] = split(line);
    if (operation === 'path') {
      paths.push(rest);
      continue;
    }
    const [number, more] = split(rest);
    const path = paths[Number(number)];
    if (path === undefined) throw new Error(`${file}: there is no path ${number}`);
    if (operation === 'lookup') operations.push({ operation, path, name: more });
    else if (operation === 'read') operations.push({ operation, path, offset: Number(split(more)[0]), bytes: Number(split(more)[1]) });
    else operations.push({ operation, path });
  }
  return operations;
}

function split(text) {
  const blank = text.indexOf(' ');
  return blank < 0 ? [text, ''] : [text.slice(0, blank), text.slice(blank + 1)];
}
