import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { oauthError } from '../oauth-error.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';
import { KEYS_UNAVAILABLE, MAX_SET_CHARACTERS, type SecurityEvent, securityEventFrom, type SetRules } from './set.ts';
import { isSignalError, type SignalError, signalError } from './signal-error.ts';
import { takeSignal } from './take.ts';
import type { TakenSignal } from './under-way.ts';

/**
 * `POST /signals`: receives a Security Event Token pushed by a configured transmitter. The transmitter is authenticated by
 * the token's signature only, so the path can also be served without client certificates.
 *
 * 202: effect, records and replay memory are committed; a repeated token is acknowledged without effect. 400: the token will
 * never be accepted. 503: try again.
 *
 * @see RFC 8935 section 2
 */
export async function answerSignal(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const { signals } = services;
  if (signals === undefined) return errorReply(oauthError('not_found', 'no such path'));
  const span = services.tracer.start('signal.receive', {}, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const signal = signalFrom(request, signals, services.authority);
    const outcome = isEvent(signal) ? await takeSignal(signal, signals, services) : signal;
    const reply = replyTo(outcome);
    attributes = {
      ...(isEvent(signal) ? eventAttributes(signal) : {}),
      ...outcomeAttributes(outcome),
      'http.response.status_code': reply.status,
    };
    return reply;
  } finally {
    span.end(attributes);
  }
}

type DeliveryResult = TakenSignal | SignalError | StoreFailure | typeof KEYS_UNAVAILABLE;

const isEvent = (signal: SecurityEvent | SignalError | typeof KEYS_UNAVAILABLE): signal is SecurityEvent =>
  typeof signal === 'object' && 'transmitter' in signal;

const CONTENT_TYPE = /^application\/secevent\+jwt$/i;

function signalFrom(
  { body, contentType }: IssuerRequest,
  rules: SetRules,
  authority: Pick<IssuerServices['authority'], 'nowMs' | 'floorMs'>,
): ReturnType<typeof securityEventFrom> | SignalError {
  if (!CONTENT_TYPE.test(contentType?.trim() ?? '')) {
    return signalError('invalid_request', 'the content-type must be application/secevent+jwt');
  }
  if (body.length > MAX_SET_CHARACTERS) {
    return signalError('invalid_request', `the token is longer than ${MAX_SET_CHARACTERS} bytes`);
  }
  return securityEventFrom(Buffer.from(body).toString('latin1'), rules, {
    nowMs: authority.nowMs(),
    floorMs: authority.floorMs(),
  });
}

/** @see RFC 8935 sections 2.2 and 2.3 */
function replyTo(outcome: DeliveryResult): Reply {
  if (isSignalError(outcome)) {
    const { err, description } = outcome;
    return jsonReply(400, { err, description }, { 'content-language': 'en' });
  }
  if (outcome === KEYS_UNAVAILABLE || isStoreFailure(outcome)) {
    return errorReply(oauthError('temporarily_unavailable', 'the token cannot be verified or recorded at present'));
  }
  return { status: 202, headers: { 'cache-control': 'no-store' }, body: '' };
}

const eventAttributes = ({ known, transmitter, uri }: SecurityEvent): SpanAttributes => ({
  'remit.signal.event': known?.type.name ?? uri,
  'remit.signal.transmitter': transmitter.issuer,
});

function outcomeAttributes(outcome: DeliveryResult): SpanAttributes {
  if (isSignalError(outcome)) return { 'error.type': outcome.err };
  if (outcome === KEYS_UNAVAILABLE || isStoreFailure(outcome)) return { 'error.type': 'temporarily_unavailable' };
  return {
    'remit.signal.effect': outcome.effect,
    'remit.signal.tasks': outcome.tasks,
    'remit.signal.replay': outcome.isReplay,
  };
}
