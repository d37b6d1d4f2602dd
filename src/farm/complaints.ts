// What zod complains of, in the words of whoever wrote the file.
import type * as z from 'zod';

/** Where in a file a complaint belongs, and what it is. */
export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const kinds: Readonly<Record<string, string>> = {
  array: 'a list such as [a, b]',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'keys with values',
  record: 'names with values',
  string: 'text',
};

/** An error map for `safeParse`; what a schema says itself goes before it. */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = `expected ${kinds[issue.expected] ?? issue.expected}`;
      if (issue.input === undefined) return `it is missing: ${expected}`;
      if (issue.input === null) return `it is empty: ${expected}`;
      return `${expected}, not ${JSON.stringify(issue.input).slice(0, 60)}`;
    }
    case 'invalid_value': {
      const words = issue.values.map(String);
      const expected = `expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
      if (issue.input === undefined) return `it is missing: ${expected}`;
      return `${expected}, not ${JSON.stringify(issue.input).slice(0, 60)}${typeof issue.input === 'string' ? nearest(issue.input, words) : ''}`;
    }
    case 'too_small':
      return issue.origin === 'string' ? 'expected text that is not empty' : `expected a number of at least ${issue.minimum}`;
    case 'too_big':
      return `expected a number of at most ${issue.maximum}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined;
  }
}

/** One complaint for each issue, and one for each unknown key, at that key. `keysAt` gives the keys of the map at a path. */
export function complaintsOf(issues: readonly z.core.$ZodIssue[], keysAt: (path: readonly PropertyKey[]) => readonly string[]): readonly Complaint[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [{ path: issue.path, message: issue.message }];
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: `there is no such key${nearest(key, keysAt(issue.path))}` }));
  });
}

/** ` (did you mean X?)` for a name that is one or two letters away from a valid one. */
export function nearest(name: string, candidates: readonly string[]): string {
  const best = candidates
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.min(2, name.length - 1) ? ` (did you mean ${best.candidate}?)` : '';
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
