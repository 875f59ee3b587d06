import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import type { LineSink } from '../../core/telemetry/decision-log.ts';
import { type CommandRefusal, taskRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** The destination of an export. `write` and `close` return a problem or `null`. */
export interface ExportSink {
  /** `false` once the reader has closed the pipe: nothing more needs to be written. */
  readonly isOpen: () => boolean;
  readonly write: (text: string) => Promise<string | null>;
  readonly close: () => Promise<string | null>;
  /** Deletes what was written, where that is possible: a file with a part of an export looks like a whole one. */
  readonly discard: () => void;
}

/** Writes texts to a sink until its reader has gone, and closes it; a problem or `null`. Discards the export if a text cannot be read or written. */
export async function writtenTo(sink: ExportSink, texts: Iterable<string>): Promise<string | null> {
  let isWhole = false;
  try {
    for (const text of texts) {
      if (!sink.isOpen()) break;
      const problem = await sink.write(text);
      if (problem !== null) return problem;
    }
    const problem = await sink.close();
    isWhole = problem === null;
    return problem;
  } finally {
    if (!isWhole) sink.discard();
  }
}

/** Most bytes that wait in the stream for its reader. */
const MAX_QUEUED_BYTES = 1_048_576;
const LOOK_MS = 5;

/** Writes to a stream, no faster than its reader. A closed pipe is not an error; the stream's owner reports failures. */
export const streamSink = (stream: LineSink): ExportSink => ({
  isOpen: () => stream.writable,
  write: async (text) => {
    stream.write(text);
    while (stream.writable && stream.writableLength > MAX_QUEUED_BYTES) await sleep(LOOK_MS);
    return null;
  },
  close: () => Promise.resolve(null),
  discard: () => undefined,
});

/** Writes to a new file of mode 0600, which is synced when closed. Refuses an existing file. */
export function fileSink(path: string): ExportSink | CommandRefusal {
  const guarded = (work: () => void): Promise<string | null> => {
    try {
      work();
      return Promise.resolve(null);
    } catch (error) {
      return Promise.resolve(`\`${path}\` cannot be written: ${errorCode(error) ?? String(error)}`);
    }
  };
  try {
    const file = openSync(path, 'wx', PRIVATE_MODE);
    return {
      isOpen: () => true,
      write: (text) => guarded(() => writeFileSync(file, text)),
      close: () =>
        guarded(() => {
          fsyncSync(file);
          closeSync(file);
        }),
      discard: () => rmSync(path, { force: true }),
    };
  } catch (error) {
    return taskRefusal(`\`${path}\` cannot be written: ${errorCode(error) ?? String(error)}`);
  }
}
