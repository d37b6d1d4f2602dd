// What zod complains of, in the words of whoever wrote the file.
import type { z } from 'zod';

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
    case 'too_small':
      return `expected a number of at least ${issue.minimum}`;
    case 'too_big':
      return `expected a number of at most ${issue.maximum}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined;
  }
}

/** One complaint for each issue, and one for each unknown key, at that key. `suggest` ends the sentence on a key of the map at a path. */
export function complaintsOf(issues: readonly z.core.$ZodIssue[], suggest: (path: readonly PropertyKey[], key: string) => string): readonly Complaint[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [{ path: issue.path, message: issue.message }];
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: `there is no such key${suggest(issue.path, key)}` }));
  });
}
