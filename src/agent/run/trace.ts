/** The trace of an intent, and the variables that make the spans of a command its children. */

/**
 * The environment in which a command's spans become children of its intent's span.
 *
 * @param traceparent of the span in which the intent was accepted; `null` leaves the environment unchanged
 * @see W3C Trace Context; OpenTelemetry, environment variables as context propagation carriers
 */
export function tracedBy(
  environment: Readonly<Record<string, string>>,
  traceparent: string | null,
): Readonly<Record<string, string>> {
  if (traceparent === null) return environment;
  const { TRACEPARENT: outer = '', TRACESTATE: state, ...rest } = environment;
  const isSameTrace = outer.slice(3, 35) === traceparent.slice(3, 35);
  return { ...rest, ...(state !== undefined && isSameTrace ? { TRACESTATE: state } : {}), TRACEPARENT: traceparent };
}
