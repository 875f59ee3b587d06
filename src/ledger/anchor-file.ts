import type { Anchor } from './head-check.ts';

/** Checkpoints of one log that were kept outside. */
export interface NamedAnchor extends Anchor {
  /** What the note says it is of. Nothing of it is verified. */
  readonly origin: string;
}

/** What a file of anchors holds. */
export interface AnchorFile {
  readonly anchors: readonly NamedAnchor[];
  /** Whether something at its end is no whole note, as an interrupted write leaves it. */
  readonly isCut: boolean;
}

/**
 * The anchors of a text: signed notes with empty lines between, as the checkpoint file of `remit serve` has them, or the
 * OTLP log records that a collector wrote, a request in JSON on each line. A line `# received 2026-01-02T03:04:05Z` before a
 * note says when it was received; an instant in an OTLP record is the sender's own word, and is passed over.
 */
export function anchorsIn(text: string): AnchorFile {
  return text.trimStart().startsWith('{') ? fromOtlp(text) : fromNotes(text);
}

const SIGNATURE = '— ';

function fromNotes(text: string): AnchorFile {
  const blocks = text
    .replaceAll('\r\n', '\n')
    .split(/\n{2,}/)
    .map((block) => block.replace(/^\n+|\n+$/g, ''))
    .filter((block) => block !== '');
  const anchors: NamedAnchor[] = [];
  for (const [index, block] of blocks.entries()) {
    const body = blocks[index - 1];
    if (!block.startsWith(SIGNATURE) || body === undefined) continue;
    const [, received, said = body] = /^# received (\S+)\n([^]*)$/.exec(body) ?? [];
    const atMs = Date.parse(received ?? '');
    anchors.push(anchorOf(`${said}\n\n${block}\n`, Number.isNaN(atMs) ? null : atMs));
  }
  return { anchors, isCut: blocks.length > 0 && !(blocks.at(-1) ?? '').startsWith(SIGNATURE) };
}

function fromOtlp(text: string): AnchorFile {
  const anchors: NamedAnchor[] = [];
  let isCut = false;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const request = parsed(line);
    isCut ||= request === null;
    for (const note of notesIn(request)) anchors.push(anchorOf(note, null));
  }
  return { anchors, isCut };
}

const anchorOf = (note: string, atMs: number | null): NamedAnchor => ({
  origin: note.slice(0, note.indexOf('\n')),
  note,
  atMs,
});

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

/** The bodies of the log records that are notes. Other log records may stand between. */
function notesIn(request: unknown): readonly string[] {
  return listIn(request, 'resourceLogs')
    .flatMap((resource) => listIn(resource, 'scopeLogs'))
    .flatMap((scope) => listIn(scope, 'logRecords'))
    .map((record) => memberOf(memberOf(record, 'body'), 'stringValue'))
    .filter((body) => typeof body === 'string')
    .filter((body) => body.includes(`\n\n${SIGNATURE}`));
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;

const listIn = (value: unknown, name: string): readonly unknown[] => {
  const member = memberOf(value, name);
  return Array.isArray(member) ? member : [];
};
