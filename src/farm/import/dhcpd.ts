// Machines from ISC dhcpd.conf(5): every `host` declaration, wherever it is nested.

import { parseIpv4 } from '../../base/addresses.ts';
import { nameShape } from '../farm.ts';
import type { NewNode } from '../nodes.ts';
import { hostName, type Imported, importedAddress, importedMac, invalid } from './imported.ts';

interface Token {
  readonly text: string;
  readonly line: number;
  readonly isString: boolean;
}

/** A statement: its words, and the statements in its braces. */
interface Statement {
  readonly words: readonly Token[];
  readonly inner: readonly Statement[] | undefined;
}

/** Deeper than anybody nests groups, subnets and pools. */
const deepest = 32;

export function importDhcpd(text: string, source: string): Imported {
  const reader = new Reader(tokens(text, source), source);
  const ignored: string[] = [];
  const nodes: NewNode[] = [];
  const visit = (statements: readonly Statement[]): void => {
    for (const statement of statements) {
      const [first, second] = statement.words;
      const place = `${source}:${first?.line ?? 0}`;
      if (first?.text === 'include') ignored.push(`${place}: include ${second?.text ?? ''}; import that file too`);
      if (first?.text === 'host' && statement.inner !== undefined) {
        const node = hostOf(second?.text ?? '', statement.inner, place, ignored);
        if (node !== undefined) nodes.push(node);
      } else if (statement.inner !== undefined) visit(statement.inner);
    }
  };
  visit(reader.statements(0));
  return { nodes, ignored };
}

function hostOf(name: string, inner: readonly Statement[], place: string, ignored: string[]): NewNode | undefined {
  const find = (...start: readonly string[]): readonly Token[] | undefined =>
    inner.find(({ words }) => start.every((word, index) => words[index]?.text === word))?.words.slice(start.length);
  const hardware = find('hardware', 'ethernet')?.[0];
  if (hardware === undefined) {
    ignored.push(`${place}: host ${name}, which has no hardware ethernet`);
    return undefined;
  }
  const fixed =
    find('fixed-address')
      ?.map(({ text }) => text)
      .filter((text) => text !== ',') ?? [];
  const [address, ...others] = fixed.filter((each) => parseIpv4(each) !== undefined);
  if (fixed.length > 0 && address === undefined)
    ignored.push(`${place}: fixed-address ${fixed.join(', ')} of host ${name}: it is a name, so an address is chosen`);
  if (others.length > 0) ignored.push(`${place}: further addresses of host ${name}: ${others.join(', ')}`);
  const option = find('option', 'host-name')?.[0];
  return {
    // What clients are told they are called may be any text.
    name: [option?.isString === true ? option.text : '', name].map(hostName).find((each) => nameShape.test(each)),
    mac: importedMac(hardware.text, place),
    address: address === undefined ? undefined : importedAddress(address, place),
  };
}

function tokens(text: string, source: string): readonly Token[] {
  const found: Token[] = [];
  let line = 1;
  for (const [part] of text.matchAll(/\n|#[^\n]*|[^\S\n]+|"(?:[^"\\\n]|\\.)*"|[{};,]|[^\s{};,"#]+|"/g)) {
    if (part === '\n') line++;
    else if (part === '"') throw invalid(`${source}:${line}`, 'a quote is not closed');
    else if (part.startsWith('"')) found.push({ text: part.slice(1, -1), line, isString: true });
    else if (!part.startsWith('#') && part.trim() !== '') found.push({ text: part, line, isString: false });
  }
  return found;
}

class Reader {
  private readonly all: readonly Token[];
  private readonly source: string;
  private at = 0;

  constructor(all: readonly Token[], source: string) {
    this.all = all;
    this.source = source;
  }

  /** Statements up to the brace that closes them, or the end of the file at depth 0. */
  statements(depth: number): readonly Statement[] {
    const list: Statement[] = [];
    let words: Token[] = [];
    for (let token = this.all[this.at]; token !== undefined; token = this.all[this.at]) {
      this.at++;
      if (token.isString || !'{};'.includes(token.text)) words.push(token);
      else if (token.text === ';') {
        list.push({ words, inner: undefined });
        words = [];
      } else if (token.text === '{') {
        if (depth === deepest) throw invalid(`${this.source}:${token.line}`, 'braces are nested too deeply');
        list.push({ words, inner: this.statements(depth + 1) });
        words = [];
      } else if (depth === 0) throw invalid(`${this.source}:${token.line}`, 'a } that closes nothing');
      else return list;
    }
    if (depth > 0 || words.length > 0)
      throw invalid(`${this.source}:${this.all.at(-1)?.line ?? 1}`, depth > 0 ? 'a { is not closed' : 'the last statement has no ;');
    return list;
  }
}
