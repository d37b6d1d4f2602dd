// Sets of nodes as people write them on a command line: n[01-20,33], @tag, %profile, all, n*, and what is left of them. After ClusterShell's nodeset(1).
import { FarmError } from '../base/errors.ts';
import { globMatches } from '../overlay/glob.ts';
import { nearest } from './complaints.ts';
import type { Farm, Node } from './farm.ts';
import { expandNames, foldNames } from './host-range.ts';

/** From left to right, none before another: `a,b!c` is (a and b) without c. */
type Operator = ',' | '!' | '&' | '^';

interface Term {
  readonly operator: Operator;
  readonly text: string;
}

/** The farm that a set is looked up in. */
export type NodeSetFarm = Pick<Farm, 'nodes' | 'profiles'>;

const hint = 'write names (n1), ranges (n[01-20,33]), patterns (n*), @tag, %profile or all; join them by , (and) ! (without) & (in both) ^ (in one)';

/**
 * The nodes of `sets` without those of `without`, in the order of the registry. Throws `nodes.syntax`, and `nodes.missing` for a name, tag or profile
 * that the farm has not: a slip must not act on fewer nodes than meant.
 */
export function selectNodes(farm: NodeSetFarm, sets: readonly string[], without: readonly string[] = []): readonly Node[] {
  const chosen = new Set(sets.flatMap((set) => [...membersOf(farm, set)]));
  for (const set of without) for (const node of membersOf(farm, set)) chosen.delete(node);
  return farm.nodes.filter((node) => chosen.has(node));
}

function membersOf(farm: NodeSetFarm, text: string): ReadonlySet<Node> {
  let members = new Set<Node>();
  for (const { operator, text: term } of termsOf(text)) {
    const others = new Set(nodesOfTerm(farm, term));
    members = combined(members, operator, others);
  }
  return members;
}

function combined(members: Set<Node>, operator: Operator, others: ReadonlySet<Node>): Set<Node> {
  switch (operator) {
    case ',':
      return new Set([...members, ...others]);
    case '!':
      return new Set([...members].filter((node) => !others.has(node)));
    case '&':
      return new Set([...members].filter((node) => others.has(node)));
    case '^':
      return new Set([...[...members].filter((node) => !others.has(node)), ...[...others].filter((node) => !members.has(node))]);
  }
}

/** Splits at operators outside brackets. */
function termsOf(text: string): readonly Term[] {
  const terms: Term[] = [];
  let operator: Operator = ',';
  let term = '';
  let depth = 0;
  const end = (): void => {
    const trimmed = term.trim();
    if (trimmed === '') throw new FarmError('nodes.syntax', `"${text}" has an empty part`, hint);
    terms.push({ operator, text: trimmed });
    term = '';
  };
  for (const letter of text) {
    if (letter === '[') depth++;
    if (letter === ']') depth--;
    if (depth === 0 && isOperator(letter)) {
      end();
      operator = letter;
    } else term += letter;
  }
  end();
  return terms;
}

function isOperator(letter: string): letter is Operator {
  return letter === ',' || letter === '!' || letter === '&' || letter === '^';
}

function nodesOfTerm(farm: NodeSetFarm, term: string): readonly Node[] {
  const { nodes, profiles } = farm;
  if (term === 'all') return nodes;
  if (term.startsWith('@')) {
    const wanted = term.slice(1);
    const found = nodes.filter(({ tags }) => tags.includes(wanted));
    if (found.length > 0 || profiles.some(({ tags }) => tags.includes(wanted))) return found;
    const known = [...new Set(nodes.flatMap(({ tags }) => tags))];
    throw missing(
      `no node has the tag ${wanted}${nearest(wanted, known)}`,
      known.length === 0 ? 'there are no tags yet: farm node set NODES --tag TAG' : `tags: ${known.join(', ')}`,
    );
  }
  if (term.startsWith('%')) {
    const wanted = term.slice(1);
    const names = profiles.map(({ name }) => name);
    if (!names.includes(wanted)) throw missing(`there is no profile ${wanted}${nearest(wanted, names)}`, `profiles: ${names.join(', ')}`);
    return nodes.filter(({ profile }) => profile.name === wanted || profile.ancestors.includes(wanted));
  }
  if (/[*?]/.test(term)) {
    const found = nodes.filter(({ name }) => globMatches(term.toLowerCase(), name.toLowerCase()));
    if (found.length === 0) throw missing(`no node's name is like ${term}`, 'farm node list shows all');
    return found;
  }
  return named(farm, term);
}

function named({ nodes }: NodeSetFarm, term: string): readonly Node[] {
  const wanted = expandNames(term);
  const byName = new Map(nodes.map((node) => [node.name.toLowerCase(), node]));
  const found = wanted.map((name) => byName.get(name.toLowerCase()));
  const lost = wanted.filter((_, index) => found[index] === undefined);
  if (lost.length > 0) {
    const [first = ''] = lost;
    const guess = lost.length === 1 ? nearest(first, [...byName.keys()]) : '';
    throw missing(`this farm has no node ${foldNames(lost)}${guess}`, 'farm node list shows all');
  }
  return found.filter((node) => node !== undefined);
}

function missing(message: string, remedy: string): FarmError {
  return new FarmError('nodes.missing', message, remedy);
}
