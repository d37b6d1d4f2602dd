// docs/reference/events.md against the source: every event that is logged is in it with its level and fields, and nothing else is.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const top = fileURLToPath(new URL('../..', import.meta.url));

/** One `log(level, event, fields)` of the source. */
interface Logged {
  readonly place: string;
  /** A name, or the pattern of names made at run time: `member.${to}` is /^member\.[a-z-]+$/. */
  readonly event: RegExp;
  /** Undefined where it is decided at run time. */
  readonly level: string | undefined;
  readonly fields: readonly string[];
}

interface Documented {
  readonly event: string;
  readonly levels: readonly string[];
  readonly row: string;
}

/** Calls that pass on an event whose name is found elsewhere in the source. */
const passedOn = /^(event|exchange\.event)$/;

function sourceFiles(): readonly ts.SourceFile[] {
  return readdirSync(join(top, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => ts.createSourceFile(path, readFileSync(join(top, 'src', path), 'utf8'), ts.ScriptTarget.Latest, true));
}

/** `log(`, `this.log(`, `options.log(`, `logBounded(`; not `Math.log(` or `console.log(`. */
function isLog(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return /^log(Bounded)?$/.test(callee.text);
  return ts.isPropertyAccessExpression(callee) && callee.name.text === 'log' && !/^(Math|console)$/.test(callee.expression.getText());
}

function named(expression: ts.Expression): RegExp | undefined {
  if (ts.isStringLiteralLike(expression)) return new RegExp(`^${expression.text.replaceAll('.', '\\.')}$`);
  if (!ts.isTemplateExpression(expression)) return undefined;
  const rest = expression.templateSpans.map(({ literal }) => `[a-z-]+${literal.text}`).join('');
  return new RegExp(`^${(expression.head.text + rest).replaceAll('.', '\\.')}$`);
}

function fieldNames(expression: ts.Expression | undefined): readonly string[] {
  if (expression === undefined || !ts.isObjectLiteralExpression(expression)) return [];
  return expression.properties.flatMap((property) => (property.name !== undefined && ts.isIdentifier(property.name) ? [property.name.text] : []));
}

/** What is logged, and what this test does not understand. */
function collect(): { readonly logged: readonly Logged[]; readonly unclear: readonly string[] } {
  const logged: Logged[] = [];
  const unclear: string[] = [];
  for (const file of sourceFiles()) {
    const visit = (node: ts.Node): void => {
      const place = `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
      if (ts.isCallExpression(node) && isLog(node.expression)) {
        const [level, event, fields] = node.arguments;
        const pattern = event === undefined ? undefined : named(event);
        if (pattern !== undefined) {
          const known = level !== undefined && ts.isStringLiteralLike(level) ? level.text : undefined;
          logged.push({ place, event: pattern, level: known, fields: fieldNames(fields) });
        } else if (event === undefined || !passedOn.test(event.getText())) {
          unclear.push(`${place}: ${node.getText().slice(0, 80)}`);
        }
      }
      // The events of DHCP exchanges are a type: `readonly event: 'dhcp.offer' | 'dhcp.ack' | ...`.
      if (ts.isPropertySignature(node) && node.name.getText() === 'event' && node.type !== undefined && ts.isUnionTypeNode(node.type)) {
        for (const member of node.type.types) {
          if (!ts.isLiteralTypeNode(member) || !ts.isStringLiteralLike(member.literal)) continue;
          const event = named(member.literal);
          if (event !== undefined) logged.push({ place, event, level: undefined, fields: [] });
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return { logged, unclear };
}

/** Rows of the tables: | `event` | level, level | `field` ... | sentence | */
function documented(): readonly Documented[] {
  const text = readFileSync(join(top, 'docs/reference/events.md'), 'utf8');
  return text.split('\n').flatMap((row) => {
    const [, event, levels] = /^\| `([a-z-]+\.[a-z-]+)` \| ([a-z, ]+) \|/.exec(row) ?? [];
    return event === undefined || levels === undefined ? [] : [{ event, levels: levels.split(', '), row }];
  });
}

describe('docs/reference/events.md', () => {
  const { logged, unclear } = collect();
  const rows = documented();

  it('can be compared with every log call of the source', () => {
    expect(unclear).toEqual([]);
    expect(logged.length).toBeGreaterThan(50);
  });

  it('has every event of the source', () => {
    const absent = logged.filter(({ event }) => !rows.some((row) => event.test(row.event)));
    expect(absent.map(({ place, event }) => `${place}: ${event.source}`)).toEqual([]);
  });

  it('has no event that is not in the source', () => {
    const gone = rows.filter((row) => !logged.some(({ event }) => event.test(row.event)));
    expect(gone.map(({ event }) => event)).toEqual([]);
  });

  it('has every event once', () => {
    expect(rows.map(({ event }) => event).filter((event, index, all) => all.indexOf(event) !== index)).toEqual([]);
  });

  it('gives the levels and fields of the source', () => {
    const wrong = logged.flatMap(({ place, event, level, fields }) =>
      rows
        .filter((row) => event.test(row.event))
        .flatMap(({ event: name, levels, row }) => [
          ...(level !== undefined && !levels.includes(level) ? [`${place}: ${name} is logged as ${level}`] : []),
          ...fields.filter((field) => !row.includes(`\`${field}\``)).map((field) => `${place}: ${name} has ${field}`),
        ]),
    );
    expect(wrong).toEqual([]);
  });
});
