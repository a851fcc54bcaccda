import { type ErrorCode, statusOf } from '@switchyard/contract';

/** A request that ends with an error of the contract. */
export interface Problem extends Error {
  readonly problem: { readonly code: ErrorCode; readonly status: number };
}

/** Makes a problem to throw; `status` only where the code has more than one. */
export function problem(code: ErrorCode, description: string, status: number = statusOf(code)): Problem {
  return Object.assign(new Error(description), { problem: { code, status } });
}

export function isProblem(error: unknown): error is Problem {
  return error instanceof Error && 'problem' in error;
}
