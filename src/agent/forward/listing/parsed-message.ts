import { isProblem } from '../../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';

/** A message in JSON. */
export interface ParsedMessage {
  readonly message: unknown;
  /** Whether every parser reads the same: of two members with one name some take the first. */
  readonly isExact: () => boolean;
}

const BYTE_ORDER_MARK = '\u{FEFF}';

/** Parses a message in JSON; `null` if it cannot be parsed. A byte order mark before it is ignored, as clients do. */
export function parsedOrNull(text: string): ParsedMessage | null {
  try {
    const message: unknown = JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
    return { message, isExact: () => !isProblem(strictJsonFrom(Buffer.from(text))) };
  } catch {
    return null;
  }
}
