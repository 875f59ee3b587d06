import { bool, isObject, members, optional, type Reader, text } from '../../core/runtime/fields.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { claimLimits } from '../../core/token/jose/claim-readers.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';
import { DURATION_RULE, secondsFrom } from '../run/duration.ts';
import type { SubjectToken } from '../task/declaration.ts';

/** The body of `POST /tasks`, parsed. */
export interface TaskRequest {
  /** The name of a template, or an intent of its own. */
  readonly intent: string | Readonly<Record<string, unknown>>;
  /** What this task is for, besides the purpose of the template. */
  readonly purpose: string | null;
  /** Limits within those of the template, as `constraints` of an intent. */
  readonly constraints: Readonly<Record<string, unknown>> | null;
  /** The token of the user; `null`: the service acts for itself. */
  readonly subject: SubjectToken | null;
  /** Longest duration of the task, in seconds. */
  readonly expiresInSeconds: number | null;
  /** How long the task may go without a call, in seconds. */
  readonly idleSeconds: number | null;
  /** Whether the connection of this request is the life of the task. */
  readonly hold: boolean;
}

/** As long as the URL of a request at a server of Node.js; it is cut to what the issuer records. */
const MAX_PURPOSE = 16_384;
/** The type of every token that names a user: of an access token, an ID-JAG and a JWT-SVID. @see RFC 8693 section 3 */
const ANY_JWT = 'urn:ietf:params:oauth:token-type:jwt';

const duration: Reader<number> = (value) => {
  const seconds = typeof value === 'string' || typeof value === 'number' ? secondsFrom(String(value)) : null;
  return seconds ?? { problem: `must be ${DURATION_RULE}` };
};

const object: Reader<Readonly<Record<string, unknown>>> = (value) =>
  isObject(value) ? value : { problem: 'must be an object' };

const intentName = text({
  max: 128,
  grammar: { matches: (name) => /^[\w-][\w.-]*$/.test(name), words: 'the name of a file without its folder' },
});

const intent: Reader<TaskRequest['intent']> = (value) =>
  typeof value === 'string' ? intentName(value) : isObject(value) ? value : { problem: 'must be a name or an intent' };

const requestMembers = members({
  intent,
  purpose: optional(text({ max: MAX_PURPOSE })),
  constraints: optional(object),
  subject_token: optional(
    text({
      max: claimLimits.maxSubjectTokenCharacters,
      grammar: { matches: (token) => /^[\w.~+/=-]+$/.test(token), words: 'a token' },
    }),
  ),
  subject_token_type: optional(text({ max: 256 })),
  expires_in: optional(duration),
  idle: optional(duration),
  hold: optional(bool, false),
});

/** Parses the body of `POST /tasks`. Strict: an unknown member is refused, since a misspelt limit would bound nothing. The problem never quotes a value. */
export function taskRequestFrom(body: Uint8Array): TaskRequest | Problem {
  const json = strictJsonFrom(body);
  if (isProblem(json)) return { problem: `the body ${json.problem}` };
  const read = requestMembers(json.value);
  if (isProblem(read)) return { problem: `the body ${read.problem}` };
  const { subject_token: token, subject_token_type: type } = read;
  if (token === null && type !== null)
    return { problem: 'the body has a `subject_token_type` without a `subject_token`' };
  return {
    intent: read.intent,
    purpose: read.purpose,
    constraints: read.constraints,
    subject: token === null ? null : { token, type: type ?? ANY_JWT },
    expiresInSeconds: read.expires_in,
    idleSeconds: read.idle,
    hold: read.hold,
  };
}
