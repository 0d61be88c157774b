-- Stores ended requests and adds them to usage, each once per job id. A function because its plans are kept: planning the
-- same statement anew took two thirds of the time of a commit.
CREATE FUNCTION "settle_requests"("batch" jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH "stored" AS (
    INSERT INTO "requests" ("job_id", "key_id", "model", "agent_id", "outcome", "finish_reason", "error_code",
      "prompt_tokens", "completion_tokens", "attempts", "received_at", "first_token_at", "ended_at")
    SELECT "job_id", "key_id", "model", "agent_id", "outcome", "finish_reason", "error_code",
      "prompt_tokens", "completion_tokens", "attempts", "received_at", "first_token_at", "ended_at"
    FROM jsonb_to_recordset("batch") AS "ended"("job_id" uuid, "key_id" text, "model" text, "agent_id" uuid,
      "outcome" "public"."request_outcome", "finish_reason" text, "error_code" text, "prompt_tokens" integer,
      "completion_tokens" integer, "attempts" integer, "received_at" timestamptz, "first_token_at" timestamptz,
      "ended_at" timestamptz)
    ON CONFLICT ("job_id") DO NOTHING
    RETURNING "key_id", "model", "prompt_tokens", "completion_tokens"
  )
  INSERT INTO "usage" ("key_id", "model", "requests", "prompt_tokens", "completion_tokens")
  SELECT "key_id", "model", count(*), sum("prompt_tokens"), sum("completion_tokens")
  FROM "stored"
  GROUP BY "key_id", "model"
  -- All servers lock the rows in the same order, so that two of them cannot wait for each other in a ring.
  ORDER BY "key_id", "model"
  ON CONFLICT ("key_id", "model") DO UPDATE SET
    "requests" = "usage"."requests" + excluded."requests",
    "prompt_tokens" = "usage"."prompt_tokens" + excluded."prompt_tokens",
    "completion_tokens" = "usage"."completion_tokens" + excluded."completion_tokens";
END
$$;
