/** The headers and the body of a denial. */
import { httpStatusOf } from '../../../core/action/denial-form.ts';
import type { Answer } from '../../check/answer.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import { type Reason, reasons } from '../../../core/decision/reasons.ts';
import { defaultProofRules } from '../../../core/token/proof/proof.ts';
import type { CheckedAnswer, SetHeader } from './check-response.ts';
import { denialBody } from './denial-body.ts';
import { decisionIds, plain } from './header-text.ts';

/** What all denials of a process have. */
export interface DenialOptions {
  /** A page that explains the reasons, with each code as an anchor; `null` for no link. */
  readonly helpUrl: string | null;
  /** The nonce for the next DPoP proof; absent if proofs need no nonce. */
  readonly proofNonce?: () => string;
}

/** For clients whose request may succeed when retried. */
const RETRY_AFTER_SECONDS = 1;

/**
 * The answer to a denied client, in the form of its protocol. `x-remit-decision` is `deny` in each, even with HTTP 200.
 *
 * `grpc-status` is always set for a gRPC call: Envoy's own mapping gives UNAVAILABLE for some denials and INTERNAL for others,
 * which retry policies repeat.
 */
export function denied(answer: Answer, decision: Deny, options: DenialOptions): CheckedAnswer {
  const reason: Reason = reasons[decision.reason];
  const form = answer.form ?? null;
  const { text: body, type } = denialBody(answer, decision, options);
  const headers: readonly SetHeader[] = [
    ...(type === null ? [] : [['content-type', type] as const]),
    ['cache-control', 'no-store'],
    ['x-remit-decision', `deny;reason=${decision.reason}${decisionIds(answer)}`],
    ...(form?.kind === 'grpc' ? [['grpc-status', String(reason.grpcStatus)] as const] : []),
    ...(reason.challenge === null
      ? []
      : [['www-authenticate', challengeFrom(reason, answer, schemeOf(decision))] as const]),
    ...(decision.reason === 'token.proof-nonce' && options.proofNonce !== undefined
      ? [['dpop-nonce', options.proofNonce()] as const]
      : []),
    ...(reason.retryable ? [['retry-after', String(RETRY_AFTER_SECONDS)] as const] : []),
  ];
  const httpStatus = httpStatusOf(form, reason);
  return { kind: 'denied', code: reason.grpcStatus, message: decision.reason, httpStatus, headers, body };
}

/** The challenge scheme; `DPoP` lists the accepted algorithms. @see RFC 9449 section 7.1 */
interface Scheme {
  readonly name: 'Bearer' | 'DPoP';
  readonly error: string | null;
  readonly algs: string | null;
}

function schemeOf({ reason }: Deny): Scheme {
  const error = dpopErrors.get(reason);
  return error === undefined
    ? { name: 'Bearer', error: null, algs: null }
    : { name: 'DPoP', error, algs: [...defaultProofRules.algorithms].join(' ') };
}

/** @see RFC 9449 sections 7.1 and 9 */
const dpopErrors: ReadonlyMap<string, string> = new Map([
  ['token.proof', 'invalid_dpop_proof'],
  ['token.proof-nonce', 'use_dpop_nonce'],
]);

/** @see RFC 6750 section 3 and RFC 9728 section 5.1 */
const challengeFrom = (reason: Reason, answer: Answer, scheme: Scheme): string => {
  const url = plain(answer.resourceMetadataUrl);
  const parameters = [
    ['realm', 'remit'],
    ...(reason.challenge === ''
      ? []
      : [['error', scheme.error ?? reason.challenge ?? ''] as const, ['error_description', reason.text]]),
    ...(scheme.algs === null ? [] : [['algs', scheme.algs]]),
    ...(url === null ? [] : [['resource_metadata', url]]),
  ];
  return `${scheme.name} ${parameters.map(([name, value = '']) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`).join(', ')}`;
};
