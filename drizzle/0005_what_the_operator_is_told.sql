CREATE TYPE "public"."event_severity" AS ENUM('info', 'warning', 'critical');--> statement-breakpoint
CREATE TABLE "events" (
	"event_id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "events_event_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"event_type" varchar(64) NOT NULL,
	"severity" "event_severity" NOT NULL,
	"timestamp" timestamp (3) with time zone NOT NULL,
	"agent_id" uuid,
	"agent_name" text,
	"model" text,
	"text" text NOT NULL,
	"times" integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_agent_id_agents_agent_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("agent_id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "events_by_age" ON "events" USING btree ("timestamp","event_id");--> statement-breakpoint
CREATE INDEX "events_by_agent" ON "events" USING btree ("agent_id","timestamp","event_id");