CREATE TYPE "public"."admin_state" AS ENUM('pending', 'active', 'draining', 'revoked');--> statement-breakpoint
CREATE TYPE "public"."agent_event" AS ENUM('registered', 'connected', 'disconnected', 'went_offline', 'completed_request', 'failed_request', 'worker_died', 'admin_state_changed');--> statement-breakpoint
CREATE TYPE "public"."agent_status" AS ENUM('online', 'degraded', 'offline');--> statement-breakpoint
CREATE TYPE "public"."key_scope" AS ENUM('infer', 'models:read', 'admin');--> statement-breakpoint
CREATE TYPE "public"."request_outcome" AS ENUM('completed', 'failed', 'cancelled');--> statement-breakpoint
CREATE TABLE "agent_history" (
	"event_id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "agent_history_event_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"agent_id" uuid NOT NULL,
	"event_type" "agent_event" NOT NULL,
	"timestamp" timestamp (3) with time zone NOT NULL,
	"metadata" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "agents" (
	"agent_id" uuid PRIMARY KEY NOT NULL,
	"public_key" "bytea" NOT NULL,
	"capabilities" jsonb NOT NULL,
	"status" "agent_status" DEFAULT 'offline' NOT NULL,
	"last_heartbeat" timestamp (3) with time zone,
	"reliability" double precision NOT NULL,
	"region" varchar(64),
	"name" varchar(128) NOT NULL,
	"api_key_hash" "bytea" NOT NULL,
	"admin_state" "admin_state" NOT NULL,
	"enrolled_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "agents_public_key_is_ed25519" CHECK (octet_length("agents"."public_key") = 32),
	CONSTRAINT "agents_api_key_hash_is_sha256" CHECK (octet_length("agents"."api_key_hash") = 32),
	CONSTRAINT "agents_reliability_is_a_share" CHECK ("agents"."reliability" between 0 and 1)
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"scopes" "key_scope"[] NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"uses_left" integer NOT NULL,
	"auto_approve" boolean NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "join_tokens_uses_left_is_a_count" CHECK ("join_tokens"."uses_left" >= 0)
);
--> statement-breakpoint
CREATE TABLE "models" (
	"name" varchar(128) PRIMARY KEY NOT NULL,
	"manifest" jsonb NOT NULL,
	"source" jsonb NOT NULL,
	"context_tokens" integer NOT NULL,
	"slots" integer NOT NULL,
	"added_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "models_manifest_has_the_name" CHECK ("models"."manifest" ->> 'name' = "models"."name"),
	CONSTRAINT "models_context_tokens_is_positive" CHECK ("models"."context_tokens" > 0),
	CONSTRAINT "models_slots_is_positive" CHECK ("models"."slots" > 0)
);
--> statement-breakpoint
CREATE TABLE "requests" (
	"job_id" uuid PRIMARY KEY NOT NULL,
	"key_id" text NOT NULL,
	"model" text NOT NULL,
	"agent_id" uuid,
	"outcome" "request_outcome" NOT NULL,
	"finish_reason" text,
	"error_code" text,
	"prompt_tokens" integer NOT NULL,
	"completion_tokens" integer NOT NULL,
	"attempts" integer NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"first_token_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "requests_prompt_tokens_is_a_count" CHECK ("requests"."prompt_tokens" >= 0),
	CONSTRAINT "requests_completion_tokens_is_a_count" CHECK ("requests"."completion_tokens" >= 0),
	CONSTRAINT "requests_attempts_is_a_count" CHECK ("requests"."attempts" >= 0)
);
--> statement-breakpoint
CREATE TABLE "usage" (
	"key_id" text NOT NULL,
	"model" text NOT NULL,
	"requests" bigint NOT NULL,
	"prompt_tokens" bigint NOT NULL,
	"completion_tokens" bigint NOT NULL,
	CONSTRAINT "usage_key_id_model_pk" PRIMARY KEY("key_id","model"),
	CONSTRAINT "usage_requests_is_a_count" CHECK ("usage"."requests" >= 0),
	CONSTRAINT "usage_prompt_tokens_is_a_count" CHECK ("usage"."prompt_tokens" >= 0),
	CONSTRAINT "usage_completion_tokens_is_a_count" CHECK ("usage"."completion_tokens" >= 0)
);
--> statement-breakpoint
ALTER TABLE "agent_history" ADD CONSTRAINT "agent_history_agent_id_agents_agent_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("agent_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "requests" ADD CONSTRAINT "requests_agent_id_agents_agent_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("agent_id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "agent_history_by_time" ON "agent_history" USING btree ("agent_id","timestamp","event_id");