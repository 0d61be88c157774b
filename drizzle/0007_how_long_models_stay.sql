CREATE TABLE "model_orders" (
	"agent_id" uuid NOT NULL,
	"model" varchar(128) NOT NULL,
	"loaded" boolean NOT NULL,
	CONSTRAINT "model_orders_agent_id_model_pk" PRIMARY KEY("agent_id","model")
);
--> statement-breakpoint
ALTER TABLE "models" ADD COLUMN "pinned" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "models" ADD COLUMN "idle_unload_ms" bigint;--> statement-breakpoint
ALTER TABLE "model_orders" ADD CONSTRAINT "model_orders_agent_id_agents_agent_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("agent_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "models" ADD CONSTRAINT "models_idle_unload_ms_is_a_duration" CHECK ("models"."idle_unload_ms" >= 0);