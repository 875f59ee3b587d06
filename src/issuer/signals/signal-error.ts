/** The `err` codes of a refused Security Event Token. @see RFC 8935 section 2.4 */
export type SignalErrorCode =
  'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience' | 'authentication_failed' | 'access_denied';

/** A Security Event Token that is refused; sending it again unchanged changes nothing. */
export interface SignalError {
  readonly kind: 'signal-error';
  readonly err: SignalErrorCode;
  /** For the developer of the transmitter: names what is wrong and never repeats it. */
  readonly description: string;
}

/** A refusal with its cause. */
export const signalError = (err: SignalErrorCode, description: string): SignalError => ({
  kind: 'signal-error',
  err,
  description,
});

/** Whether a step refused the token. */
export const isSignalError = (value: unknown): value is SignalError =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'signal-error';
