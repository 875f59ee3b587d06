/** The `err` codes of a refused Security Event Token. @see RFC 8935 section 2.4 */
export type SignalErrorCode =
  'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience' | 'authentication_failed' | 'access_denied';

/** The refusal of a Security Event Token, which is final. */
export interface SignalError {
  readonly kind: 'signal-error';
  readonly err: SignalErrorCode;
  /** For developers of transmitters; never quotes the token. */
  readonly description: string;
}

/** Creates a refusal. */
export const signalError = (err: SignalErrorCode, description: string): SignalError => ({
  kind: 'signal-error',
  err,
  description,
});

/** Whether a value is a refusal. */
export const isSignalError = (value: unknown): value is SignalError =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'signal-error';
