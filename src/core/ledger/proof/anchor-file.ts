import type { Anchor } from './head-check.ts';
import { withoutEnd } from '../../runtime/without-end.ts';

/** A checkpoint of some log that was kept elsewhere. */
export interface NamedAnchor extends Anchor {
  /** The origin that the note claims, unverified. */
  readonly origin: string;
}

/** The content of an anchor file. */
export interface AnchorFile {
  readonly anchors: readonly NamedAnchor[];
  /** Whether its end is an incomplete note, as an interrupted write leaves it, or any line of OTLP is not JSON. */
  readonly isCut: boolean;
}

/**
 * Parses anchors: either signed notes separated by empty lines, as in the checkpoint file of `remit serve`, or OTLP log
 * requests in JSON Lines, as a collector writes them. A line `# received 2026-01-02T03:04:05Z` before a note says when it was
 * received. Instants in OTLP records are ignored, because the sender chooses them.
 */
export function anchorsIn(text: string): AnchorFile {
  return text.trimStart().startsWith('{') ? fromOtlp(text) : fromNotes(text);
}

const SIGNATURE = '— ';

function fromNotes(text: string): AnchorFile {
  const blocks = text
    .replaceAll('\r\n', '\n')
    .split(/\n{2,}/)
    .map((block) => withoutEnd(block.replace(/^\n+/, ''), '\n'))
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

/** The bodies of those log records that are notes; other log records are skipped. */
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
