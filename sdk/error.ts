/** A request that the server refused, in its own words. */
export interface ApiError extends Error {
  readonly name: 'ApiError';
  /** The HTTP status. */
  readonly status: number;
  /** `errorCode` of the contract; empty when something between answered. */
  readonly code: string;
  /** From Retry-After, where the server says it. */
  readonly retryAfterSeconds: number | undefined;
}

export function isApiError(error: unknown): error is ApiError {
  return error instanceof Error && error.name === 'ApiError';
}

/** The error for a reply that is no success; `text` is its body. */
export function apiError(operation: string, response: Response, text: string): ApiError {
  const { errorCode, errorDescription } = refusalIn(text);
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Object.assign(
    new Error(errorDescription ?? `${operation}: the server answered with status ${response.status}`),
    {
      name: 'ApiError' as const,
      status: response.status,
      code: errorCode ?? '',
      retryAfterSeconds: Number.isFinite(seconds) ? seconds : undefined,
    },
  );
}

function refusalIn(text: string): { readonly errorCode?: string; readonly errorDescription?: string } {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : {};
  } catch {
    return {};
  }
}
