import { describe, expect, it } from '@jest/globals';
import { otelProblems } from '../../../src/core/telemetry/environment-problems.ts';

const isReadable = (path: string): boolean => path === '/etc/ca.pem';

describe('otelProblems', () => {
  it('accepts valid variables, and those that are not read here', () => {
    const variables = {
      OTEL_SDK_DISABLED: 'False',
      OTEL_LOG_LEVEL: 'WARN',
      OTEL_TRACES_EXPORTER: 'otlp, console',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_METRICS_EXPORTER: 'prometheus',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.acme.test:4318',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: ' http://127.0.0.1:4317 ',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc=,x-tenant=acme',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/etc/ca.pem',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_METRIC_EXPORT_INTERVAL: '15000',
      OTEL_RESOURCE_ATTRIBUTES: 'team=payments,region=eu%2Dwest',
      OTEL_NODE_RESOURCE_DETECTORS: 'env,host',
      OTEL_BSP_MAX_QUEUE_SIZE: '',
      OTEL_PROPAGATORS: 'jaeger',
    };
    expect(otelProblems(variables, isReadable)).toEqual([]);
  });

  it.each([
    ['OTEL_SDK_DISABLED', 'yes', ' is `yes`: expected true, false'],
    ['OTEL_TRACES_EXPORTER', 'otlp,zipkin', ' is `otlp,zipkin`: expected otlp, console, none, with commas between'],
    ['OTEL_LOGS_EXPORTER', 'kafka', ' is `kafka`: expected otlp, console, none, with commas between'],
    ['OTEL_METRICS_EXPORTER', 'statsd', ' is `statsd`: expected otlp, console, prometheus, none, with commas between'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'thrift', ' is `thrift`: expected grpc, http/protobuf, http/json'],
    ['OTEL_EXPORTER_OTLP_METRICS_PROTOCOL', 'http', ' is `http`: expected grpc, http/protobuf, http/json'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s', ' is `10s`: expected a whole number from 1 to 1000000'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd', ' is `zstd`: expected gzip, none'],
    ['OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY', '/gone.pem', ' is `/gone.pem`: expected a file that can be read'],
    ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', 'delta', ' is `delta`: expected cumulative'],
    ['OTEL_TRACES_SAMPLER_ARG', '2', ' is `2`: expected a number from 0 to 1'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0', ' is `0`: expected a whole number from 1 to 1000000'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '-1', ' is `-1`: expected a whole number from 1 to 1000000'],
    ['OTEL_ATTRIBUTE_COUNT_LIMIT', 'few', ' is `few`: expected a whole number from 0 to 1000000'],
    ['OTEL_NODE_RESOURCE_DETECTORS', 'aws', /^ is `aws`: expected all, none, env/],
    [
      'OTEL_RESOURCE_ATTRIBUTES',
      'team',
      ' is `team`: expected `name=value` pairs with commas between, the values percent-encoded',
    ],
    ['OTEL_CONFIG_FILE', 'otel.yaml', ' is `otel.yaml`: expected no file: only the other `OTEL_*` variables are read'],
  ])('refuses %s=%s', (name, value, said) => {
    const [problem = '', ...others] = otelProblems({ [name]: value }, isReadable);
    expect(others).toEqual([]);
    expect(problem.startsWith(`\`${name}\``)).toBe(true);
    const rest = problem.slice(name.length + 2);
    if (typeof said === 'string') expect(rest).toBe(said);
    else expect(rest).toMatch(said);
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization Bearer s3cret'],
    ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'authorization=%s3cret'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'ftp://user:s3cret@collector.acme.test'],
    ['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', 'collector.acme.test:4318?key=s3cret'],
  ])('never shows the value of %s, which may contain a credential', (name, value) => {
    const problems = otelProblems({ [name]: value }, isReadable);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^\`${name}\`: expected `));
    expect(problems[0]).not.toContain('s3cret');
  });

  it('checks nothing if the SDK is disabled', () => {
    expect(otelProblems({ OTEL_SDK_DISABLED: 'TRUE', OTEL_TRACES_EXPORTER: 'zipkin' }, isReadable)).toEqual([]);
  });
});
